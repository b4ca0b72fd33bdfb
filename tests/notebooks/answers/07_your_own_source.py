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
    "head_to_head": [
        # accuracies, not pictures
        """def head_to_head(labels, one, other):
    a, b = int((one == labels).sum()), int((other == labels).sum())
    low, high = wilson_interval(a, a + b)
    return {"only one": a, "only other": b,
            "verdict": "one" if low > 0.5 else "other" if high < 0.5 else "cannot tell"}""",
        # the larger number wins
        """def head_to_head(labels, one, other):
    a = int(((one == labels) & (other != labels)).sum())
    b = int(((one != labels) & (other == labels)).sum())
    return {"only one": a, "only other": b, "verdict": "one" if a > b else "other" if b > a else "cannot tell"}""",
        # a share of all pictures
        """def head_to_head(labels, one, other):
    a = int(((one == labels) & (other != labels)).sum())
    b = int(((one != labels) & (other == labels)).sum())
    low, high = wilson_interval(a, len(labels))
    return {"only one": a, "only other": b,
            "verdict": "one" if low > 0.5 else "other" if high < 0.5 else "cannot tell"}""",
        # pictures on which the answers differ: both may be wrong
        """def head_to_head(labels, one, other):
    differ = one != other
    a = int((differ & (one == labels)).sum())
    b = int((differ & (one != labels)).sum())
    if not a + b:
        return {"only one": 0, "only other": 0, "verdict": "cannot tell"}
    low, high = wilson_interval(a, a + b)
    return {"only one": a, "only other": b,
            "verdict": "one" if low > 0.5 else "other" if high < 0.5 else "cannot tell"}""",
        # the wrong way round
        """def head_to_head(labels, one, other):
    b = int(((one == labels) & (other != labels)).sum())
    a = int(((one != labels) & (other == labels)).sum())
    low, high = wilson_interval(a, a + b)
    return {"only one": a, "only other": b,
            "verdict": "one" if low > 0.5 else "other" if high < 0.5 else "cannot tell"}""",
        # stumbles where no picture counts
        """def head_to_head(labels, one, other):
    a = int(((one == labels) & (other != labels)).sum())
    b = int(((one != labels) & (other == labels)).sum())
    share = a / (a + b)
    low, high = wilson_interval(a, a + b)
    return {"only one": a, "only other": b,
            "verdict": "one" if low > 0.5 else "other" if high < 0.5 else "cannot tell"}""",
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
    "head_to_head": [
        """def head_to_head(labels, one, other):
    only = [0, 0]
    for label, a, b in zip(labels, one, other):
        if (a == label) != (b == label):
            only[int(b == label)] += 1
    word = "cannot tell"
    if sum(only):
        low, high = wilson_interval(only[0], sum(only))
        if low > 0.5:
            word = "one"
        if high < 0.5:
            word = "other"
    return dict(zip(("only one", "only other", "verdict"), [*only, word]))""",
        """def head_to_head(labels, one, other):
    from math import sqrt
    sign = np.sign((one == labels).astype(int) - (other == labels).astype(int))
    a, b = np.sum(sign > 0), np.sum(sign < 0)
    n, z = a + b, 1.959963984540054
    if n == 0:
        return {"only one": 0, "only other": 0, "verdict": "cannot tell"}
    p = a / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    ends = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    verdict = "one" if ends[0] > 0.5 else ("other" if ends[1] < 0.5 else "cannot tell")
    return {"only one": a, "only other": b, "verdict": verdict}""",
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
