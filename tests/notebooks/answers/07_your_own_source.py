"""Answers to the exercises of lesson 7: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "prediction": [
        "my_prediction = {}",
        'my_prediction = {"few labels": "transfer"}',
        'my_prediction = {"few labels": 0.9, "many labels": 0.95}',
    ],
    "cut_off_head": [
        # the pooled features, not the map
        """def cut_off_head(classifier):
    return keras.Model(classifier.input, classifier.layers[-2].output)""",
        # two layers from the end, which fits one head only
        """def cut_off_head(classifier):
    return keras.Model(classifier.input, classifier.layers[-3].output)""",
        # the layers again, with new weights
        """def cut_off_head(classifier):
    maps = [layer.output for layer in classifier.layers if len(layer.output.shape) == 4]
    return keras.models.clone_model(keras.Model(classifier.input, maps[-1]))""",
        # the first map
        """def cut_off_head(classifier):
    maps = [layer.output for layer in classifier.layers[1:] if len(layer.output.shape) == 4]
    return keras.Model(classifier.input, maps[0])""",
    ],
    "paired_difference": [
        # interval of two clouds, not of the pairs
        """def paired_difference(transfer, scratch):
    a, b = np.asarray(transfer, float), np.asarray(scratch, float)
    half = stats.t.ppf(0.975, len(a) - 1) * np.sqrt(a.var(ddof=1) + b.var(ddof=1)) / np.sqrt(len(a))
    mean = a.mean() - b.mean()
    low, high = mean - half, mean + half
    return {"mean": mean, "low": low, "high": high,
            "verdict": "transfer" if low > 0 else "scratch" if high < 0 else "cannot tell"}""",
        # the mean alone decides
        """def paired_difference(transfer, scratch):
    d = np.asarray(transfer, float) - np.asarray(scratch, float)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return {"mean": d.mean(), "low": d.mean() - half, "high": d.mean() + half,
            "verdict": "transfer" if d.mean() > 0 else "scratch"}""",
        # the wrong way round
        """def paired_difference(transfer, scratch):
    d = np.asarray(scratch, float) - np.asarray(transfer, float)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    low, high = d.mean() - half, d.mean() + half
    return {"mean": d.mean(), "low": low, "high": high,
            "verdict": "transfer" if high < 0 else "scratch" if low > 0 else "cannot tell"}""",
        # the normal distribution, n in place of n - 1
        """def paired_difference(transfer, scratch):
    d = np.asarray(transfer, float) - np.asarray(scratch, float)
    half = 1.96 * d.std() / np.sqrt(len(d))
    low, high = d.mean() - half, d.mean() + half
    return {"mean": d.mean(), "low": low, "high": high,
            "verdict": "transfer" if low > 0 else "scratch" if high < 0 else "cannot tell"}""",
    ],
    "files_to_delete": [
        # everything that is named
        """def files_to_delete(findings):
    return sorted({path for finding in findings for path in finding["paths"]})""",
        # the copy in the test split goes
        """def files_to_delete(findings):
    gone = set()
    for f in findings:
        if f["severity"] == "error":
            if "duplicate" in f["kind"]:
                gone.update(p for p in f["paths"] if not p.startswith("train/"))
            else:
                gone.update(f["paths"])
    return sorted(gone)""",
        # warnings as well
        """def files_to_delete(findings):
    gone = set()
    for f in findings:
        splits = [p.split("/")[0] for p in f["paths"]]
        if "duplicate" in f["kind"]:
            kept = next(s for s in ("test", "validation", "train") if s in splits)
            gone.update(p for p in f["paths"] if p.split("/")[0] != kept)
        elif f["kind"] in ("empty-file", "not-an-image", "damaged", "conflicting-labels"):
            gone.update(f["paths"])
    return sorted(gone)""",
        # near duplicates and conflicting labels forgotten
        """def files_to_delete(findings):
    gone = []
    for f in findings:
        if f["kind"] in ("empty-file", "not-an-image", "damaged"):
            gone += f["paths"]
        if f["kind"] == "duplicate-across-splits":
            gone += [p for p in f["paths"] if p.startswith("train/")]
    return sorted(gone)""",
    ],
    "text_features": [
        # not of length one
        """def text_features(texts, vectors):
    d = len(next(iter(vectors.values())))
    rows = [[vectors[w] for w in re.findall("[a-z]+", t.lower()) if w in vectors] for t in texts]
    return np.array([np.mean(r, axis=0) if r else np.zeros(d) for r in rows])""",
        # every word once
        """def text_features(texts, vectors):
    d = len(next(iter(vectors.values())))
    out = np.zeros((len(texts), d))
    for i, t in enumerate(texts):
        known = [vectors[w] for w in sorted(set(re.findall("[a-z]+", t.lower()))) if w in vectors]
        if known:
            out[i] = np.sum(known, axis=0) / np.linalg.norm(np.sum(known, axis=0))
    return out""",
        # words split at spaces, upper case not lowered
        """def text_features(texts, vectors):
    d = len(next(iter(vectors.values())))
    out = np.zeros((len(texts), d))
    for i, t in enumerate(texts):
        known = [vectors[w] for w in t.split() if w in vectors]
        if known:
            out[i] = np.sum(known, axis=0) / np.linalg.norm(np.sum(known, axis=0))
    return out""",
        # a text without known words is not a number
        """def text_features(texts, vectors):
    d = len(next(iter(vectors.values())))
    out = []
    for t in texts:
        total = sum((vectors[w] for w in re.findall("[a-z]+", t.lower()) if w in vectors), np.zeros(d))
        out.append(total / np.linalg.norm(total))
    return np.array(out)""",
    ],
}

RIGHT = {
    "prediction": [
        'my_prediction = dict.fromkeys(["few labels", "many labels"], "cannot tell")',
        'my_prediction = {"many labels": "scratch", "few labels": "transfer"}',
    ],
    "cut_off_head": [
        """def cut_off_head(classifier):
    for layer in reversed(classifier.layers):
        if len(layer.output.shape) == 4:
            return keras.Model(classifier.inputs, layer.output)""",
        """def cut_off_head(classifier):
    at = max(i for i, layer in enumerate(classifier.layers) if len(layer.output.shape) == 4)
    base = keras.Sequential([keras.Input(classifier.input_shape[1:]), *classifier.layers[1 : at + 1]])
    return base""",
    ],
    "paired_difference": [
        """def paired_difference(transfer, scratch):
    d = [float(a) - float(b) for a, b in zip(transfer, scratch)]
    low, high = stats.t.interval(0.95, len(d) - 1, np.mean(d), stats.sem(d))
    if low > 0:
        verdict = "transfer"
    elif high < 0:
        verdict = "scratch"
    else:
        verdict = "cannot tell"
    return dict(mean=float(np.mean(d)), low=float(low), high=float(high), verdict=verdict)""",
        """def paired_difference(transfer, scratch):
    test = stats.ttest_rel(transfer, scratch)
    low, high = test.confidence_interval(0.95)
    mean = (low + high) / 2
    verdict = ["cannot tell", "transfer" if mean > 0 else "scratch"][int(low * high > 0)]
    return {"mean": mean, "low": low, "high": high, "verdict": verdict}""",
    ],
    "files_to_delete": [
        """def files_to_delete(findings):
    order = {"test": 0, "validation": 1, "train": 2}
    gone = []
    for f in (f for f in findings if f["severity"] == "error"):
        if f["kind"].endswith("duplicate") or f["kind"].startswith("duplicate"):
            best = min(order[p.split("/")[0]] for p in f["paths"])
            gone += [p for p in f["paths"] if order[p.split("/")[0]] > best]
        elif f["kind"] in {"damaged", "empty-file", "not-an-image", "conflicting-labels"}:
            gone += f["paths"]
    return sorted(set(gone))""",
        """def files_to_delete(findings):
    everything = ("empty-file", "not-an-image", "damaged", "conflicting-labels")
    gone = {p for f in findings if f["severity"] == "error" and f["kind"] in everything for p in f["paths"]}
    for f in findings:
        if f["severity"] == "error" and f["kind"] in ("near-duplicate", "duplicate-across-splits"):
            for keep in ("test/", "validation/"):
                if any(p.startswith(keep) for p in f["paths"]):
                    gone |= {p for p in f["paths"] if not p.startswith(keep)}
                    break
    return sorted(gone)""",
    ],
    "text_features": [
        """def text_features(texts, vectors):
    d = len(list(vectors.values())[0])
    sums = [sum((np.asarray(vectors[w], float) for w in re.findall("[a-z]+", t.lower()) if w in vectors), np.zeros(d)) for t in texts]
    sums = np.array(sums).reshape(len(texts), d)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)""",
        """def text_features(texts, vectors):
    words = list(vectors)
    table = np.array([vectors[w] for w in words], float)
    place = {w: i for i, w in enumerate(words)}
    counts = np.zeros((len(texts), len(words)))
    for row, text in enumerate(texts):
        for word in re.findall("[a-z]+", text.lower()):
            if word in place:
                counts[row, place[word]] += 1
    summed = counts @ table
    return summed / np.maximum(np.linalg.norm(summed, axis=1), 1e-12)[:, None]""",
    ],
}
