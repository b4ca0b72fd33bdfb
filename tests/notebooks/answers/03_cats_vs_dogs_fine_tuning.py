"""Answers to the exercises of lesson 3: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "prediction": [
        "my_prediction = {}",
        'my_prediction = {"1e-5": 0.9, "1e-3": 0.9}',
        'my_prediction = {"1e-5": 86, "1e-3": 90, "1e-1": 70}',
    ],
    "prepare_fine_tuning": [
        # everything trains
        """def prepare_fine_tuning(model, top):
    labkit.unfreeze(model)
    return model""",
        # BatchNorm layers too
        """def prepare_fine_tuning(model, top):
    labkit.unfreeze(model, top=top, batch_norm=True)
    return model""",
        # not returned
        """def prepare_fine_tuning(model, top):
    labkit.unfreeze(model, top=top)""",
        # top counts layers
        """def prepare_fine_tuning(model, top):
    labkit.freeze(model)
    model.layers[1].trainable = True
    for place, layer in enumerate(model.layers[1].layers[::-1]):
        layer.trainable = place < top and not isinstance(layer, keras.layers.BatchNormalization)
    return model""",
        # two blocks, whatever is asked
        """def prepare_fine_tuning(model, top):
    labkit.unfreeze(model, top=2)
    return model""",
    ],
    "frozen_but_moving": [
        # a rate that is not zero
        """def frozen_but_moving(model, images, labels):
    before = [w.numpy() for w in model.weights]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=8, verbose=0)
    return [w.path for w, old in zip(model.weights, before) if not np.array_equal(w.numpy(), old)]""",
        # trainable weights only
        """def frozen_but_moving(model, images, labels):
    before = [w.numpy() for w in model.trainable_weights]
    model.compile(keras.optimizers.Adam(0.0), "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=8, verbose=0)
    return [w.path for w, old in zip(model.trainable_weights, before) if not np.array_equal(w.numpy(), old)]""",
        # never trained
        """def frozen_but_moving(model, images, labels):
    before = [w.numpy() for w in model.weights]
    model(images, training=False)
    return [w.path for w, old in zip(model.weights, before) if not np.array_equal(w.numpy(), old)]""",
        # all that could move
        """def frozen_but_moving(model, images, labels):
    return [w.path for w in model.weights if "moving" in w.path]""",
        # a number, not the paths
        """def frozen_but_moving(model, images, labels):
    before = [w.numpy() for w in model.weights]
    model.compile(keras.optimizers.Adam(0.0), "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=8, verbose=0)
    return sum(not np.array_equal(w.numpy(), old) for w, old in zip(model.weights, before))""",
    ],
    "freeze_batch_norm": [
        # not inside inner models
        """def freeze_batch_norm(model):
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    return len(norms)""",
        # one level deep only
        """def freeze_batch_norm(model):
    norms = [l for part in model.layers for l in getattr(part, "layers", [part]) if isinstance(l, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    return len(norms)""",
        # everything
        """def freeze_batch_norm(model):
    model.trainable = False
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)""",
        # only counted
        """def freeze_batch_norm(model):
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)""",
        # other layers are unfrozen
        """def freeze_batch_norm(model):
    number = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            number += freeze_batch_norm(layer)
        else:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
            number += not layer.trainable
    return number""",
    ],
    "agreement": [
        # k is not used
        """def agreement(before, after, k=1):
    return float((np.argmax(before, axis=1) == np.argmax(after, axis=1)).mean())""",
        # the other way round
        """def agreement(before, after, k=1):
    best = np.argsort(-before, axis=1)[:, :k]
    return float((best == after.argmax(axis=1)[:, None]).any(axis=1).mean())""",
        # the k lowest
        """def agreement(before, after, k=1):
    best = np.argsort(after, axis=1)[:, :k]
    return float((best == before.argmax(axis=1)[:, None]).any(axis=1).mean())""",
        # how many, not the share
        """def agreement(before, after, k=1):
    best = np.argsort(-after, axis=1)[:, :k]
    return int((best == before.argmax(axis=1)[:, None]).any(axis=1).sum())""",
        # any of the k best of both
        """def agreement(before, after, k=1):
    a, b = np.argsort(-before, axis=1)[:, :k], np.argsort(-after, axis=1)[:, :k]
    return float(np.mean([bool(set(x) & set(y)) for x, y in zip(a, b)]))""",
    ],
    "suggest_rate": [
        # the lowest point itself
        """def suggest_rate(rates, losses):
    return rates[int(np.argmin(losses))]""",
        # nan is taken for the lowest
        """def suggest_rate(rates, losses):
    return rates[int(np.argmin(losses))] / 10""",
        # minus infinity is taken for the lowest
        """def suggest_rate(rates, losses):
    return rates[int(np.nanargmin(losses))] / 10""",
        # a tenth of the largest rate
        """def suggest_rate(rates, losses):
    return max(rates) / 10""",
        # the loss, not the rate
        """def suggest_rate(rates, losses):
    return min(l for l in losses if np.isfinite(l)) / 10""",
    ],
    "discriminative_rates": [
        # the head is missing
        """def discriminative_rates(blocks, rate, factor):
    return {block: rate / factor**i for i, block in enumerate(reversed(blocks))}""",
        # earlier blocks are faster
        """def discriminative_rates(blocks, rate, factor):
    return {"head": rate} | {block: rate / factor**i for i, block in enumerate(blocks)}""",
        # the last block is divided already
        """def discriminative_rates(blocks, rate, factor):
    return {"head": rate} | {block: rate / factor ** (i + 1) for i, block in enumerate(reversed(blocks))}""",
        # one rate for all
        """def discriminative_rates(blocks, rate, factor):
    return dict.fromkeys([*blocks, "head"], rate)""",
        # divided by the distance times the factor
        """def discriminative_rates(blocks, rate, factor):
    return {"head": rate} | {block: rate / max(factor * i, 1) for i, block in enumerate(reversed(blocks))}""",
    ],
    "paired_verdict": [
        # means alone
        """def paired_verdict(first, second):
    a, b = np.mean(first), np.mean(second)
    return "first" if a > b else "second" if b > a else "cannot tell\"""",
        # not paired: do the intervals overlap?
        """def paired_verdict(first, second):
    (_, a, b), (_, c, d) = mean_interval(first), mean_interval(second)
    return "first" if a > d else "second" if c > b else "cannot tell\"""",
        # better in every run
        """def paired_verdict(first, second):
    d = np.subtract(first, second)
    return "first" if (d > 0).all() else "second" if (d < 0).all() else "cannot tell\"""",
        # the normal distribution's 1.96
        """def paired_verdict(first, second):
    d = np.subtract(first, second)
    half = 1.96 * d.std() / np.sqrt(len(d))
    return "first" if d.mean() > half else "second" if d.mean() < -half else "cannot tell\"""",
        # second and first mixed up
        """def paired_verdict(first, second):
    _, low, high = mean_interval(np.subtract(second, first))
    return "first" if low > 0 else "second" if high < 0 else "cannot tell\"""",
    ],
}

RIGHT = {
    "prediction": [
        'my_prediction = dict.fromkeys(("1e-1", "1e-3", "1e-5"), 0.5)',
        'my_prediction = {"1e-5": 1, "1e-3": 0, "1e-1": 0.5, "1e-7": 0.2}',
    ],
    "prepare_fine_tuning": [
        """def prepare_fine_tuning(model, top):
    if top:
        labkit.set_strategy(model, "partial", top=top)
    else:
        labkit.set_strategy(model, "frozen")
    return model""",
        """from labkit.anatomy import anatomy
def prepare_fine_tuning(model, top):
    parts = anatomy(model)
    parts.base.trainable = True
    for place, block in enumerate(parts.blocks):
        for layer in block.layers:
            late = place >= len(parts.blocks) - top
            layer.trainable = late and not isinstance(layer, keras.layers.BatchNormalization)
    return model""",
    ],
    "frozen_but_moving": [
        """def frozen_but_moving(model, images, labels):
    before = {w.path: w.numpy().copy() for w in model.weights}
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.0), loss="sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=1, verbose=0, shuffle=False)
    return sorted(w.path for w in model.weights if (before[w.path] != w.numpy()).any())""",
        """def frozen_but_moving(model, images, labels):
    old = model.get_weights()
    model.compile(keras.optimizers.Adam(0.0), loss=keras.losses.SparseCategoricalCrossentropy())
    model.fit(images, labels, verbose=0)
    paths = [w.path for w in model.weights]
    return [path for path, a, b in zip(paths, old, model.get_weights()) if np.abs(a - b).max() > 0]""",
    ],
    "freeze_batch_norm": [
        """def freeze_batch_norm(model):
    norms = [l for l in model._flatten_layers() if isinstance(l, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    return len(norms)""",
        """def freeze_batch_norm(model):
    waiting, number = [model], 0
    while waiting:
        layer = waiting.pop()
        if type(layer) is keras.layers.BatchNormalization:
            layer.trainable = False
            number += 1
        waiting.extend(getattr(layer, "layers", []))
    return number""",
    ],
    "agreement": [
        """def agreement(before, after, k=1):
    hits = [np.argmax(b) in np.argsort(a)[::-1][:k] for b, a in zip(before, after)]
    return sum(hits) / len(hits)""",
        """def agreement(before, after, k=1):
    rows = np.arange(len(before))
    mine = np.asarray(after)[rows, np.asarray(before).argmax(axis=1)]
    return ((np.asarray(after) > mine[:, None]).sum(axis=1) < k).mean()""",
    ],
    "suggest_rate": [
        """def suggest_rate(rates, losses):
    good = [(loss, rate) for rate, loss in zip(rates, losses) if np.isfinite(loss)]
    return min(good)[1] / 10""",
        """def suggest_rate(rates, losses):
    rates, losses = np.asarray(rates), np.asarray(losses, float)
    finite = np.isfinite(losses)
    return 0.1 * rates[finite][losses[finite].argmin()]""",
    ],
    "discriminative_rates": [
        """def discriminative_rates(blocks, rate, factor):
    n = len(blocks)
    return {block: rate * factor ** (i + 1 - n) for i, block in enumerate(blocks)} | {"head": rate}""",
        """def discriminative_rates(blocks, rate, factor):
    rates, now = {"head": rate}, rate
    for block in list(blocks)[::-1]:
        rates[block] = now
        now = now / factor
    return rates""",
    ],
    "paired_verdict": [
        """from scipy import stats
def paired_verdict(first, second):
    d = np.asarray(first) - np.asarray(second)
    if len(d) < 2:
        return "cannot tell"
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    if abs(d.mean()) <= half:
        return "cannot tell"
    return "first" if d.mean() > 0 else "second\"""",
        """def paired_verdict(first, second):
    _, low, high = mean_interval([a - b for a, b in zip(first, second)])
    return {(True, False): "first", (False, True): "second"}.get((low > 0, high < 0), "cannot tell")""",
    ],
}
