"""Answers to the exercises of lesson 6: wrong ones that must lose points, right ones that must not."""

RECIPE = """def recipe(backbone, n_classes, hidden=1024):
    backbone.trainable = {trainable}
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    x = keras.layers.Dense(hidden, activation={relu!r})(x)
    model = keras.Model(backbone.input, keras.layers.Dense(n_classes, activation={last!r})(x))
    model.compile(optimizer={optimizer!r}, loss={loss!r}, metrics=["accuracy"])
    return model"""

GOOD = {
    "trainable": False,
    "relu": "relu",
    "last": "softmax",
    "optimizer": "rmsprop",
    "loss": "categorical_crossentropy",
}

WRONG = {
    "prediction": [
        "my_prediction = {}",
        'my_prediction = {"accuracy": 0.5, "three guesses": 0.8}',
        """my_prediction = {"accuracy": 60, "three guesses": 85, "gain by the hidden layer": 1,
                 "worst recall": 30}""",
        """my_prediction = {"accuracy": 0.6, "three guesses": 0.5, "gain by the hidden layer": 0.1,
                 "worst recall": 0.3}""",
    ],
    "recipe": [
        # the maximum of each channel in place of its mean
        RECIPE.format(**GOOD).replace("GlobalAveragePooling2D", "GlobalMaxPooling2D"),
        # the base is trainable
        RECIPE.format(**GOOD | {"trainable": True}),
        # the loss wants class numbers, not one-hot rows
        RECIPE.format(**GOOD | {"loss": "sparse_categorical_crossentropy"}),
        # one yes or no a breed
        RECIPE.format(**GOOD | {"last": "sigmoid", "loss": "binary_crossentropy"}),
        # another optimizer
        RECIPE.format(**GOOD | {"optimizer": "adam"}),
        # no ReLU
        RECIPE.format(**GOOD | {"relu": None}),
        # no hidden layer
        """def recipe(backbone, n_classes, hidden=1024):
    model = labkit.build_classifier(backbone, n_classes)
    labkit.freeze(model)
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
    return model""",
        # not compiled
        """def recipe(backbone, n_classes, hidden=1024):
    model = labkit.build_classifier(backbone, n_classes, head="dense", hidden=hidden)
    labkit.freeze(model)
    return model""",
    ],
    "why": ['my_reason = "a"', 'my_reason = "c"', 'my_reason = "d"', 'my_reason = "ab"'],
    "top_k": [
        # the lowest scores
        """def top_k(scores, labels, k):
    best = np.argsort(scores, axis=1)[:, :k]
    return (best == labels[:, None]).any(axis=1).mean()""",
        # accuracy whatever k
        """def top_k(scores, labels, k):
    return (scores.argmax(axis=1) == labels).mean()""",
        # the k-th alone
        """def top_k(scores, labels, k):
    return (np.argsort(-scores, axis=1)[:, k - 1] == labels).mean()""",
        # one guess too many
        """def top_k(scores, labels, k):
    best = np.argsort(-scores, axis=1)[:, : k + 1]
    return (best == labels[:, None]).any(axis=1).mean()""",
        # a number in place of a share
        """def top_k(scores, labels, k):
    best = np.argsort(-scores, axis=1)[:, :k]
    return (best == labels[:, None]).any(axis=1).sum()""",
    ],
    "confused_pairs": [
        # one direction
        """def confused_pairs(labels, predictions, names, count):
    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (labels, predictions), 1)
    np.fill_diagonal(table, 0)
    places = [np.unravel_index(p, table.shape) for p in np.argsort(-table, axis=None)[:count]]
    return [(names[a], names[b], int(table[a, b])) for a, b in places if table[a, b]]""",
        # right answers count as well
        """def confused_pairs(labels, predictions, names, count):
    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (labels, predictions), 1)
    both = np.triu(table + table.T)
    places = [np.unravel_index(p, both.shape) for p in np.argsort(-both, axis=None)[:count]]
    return [(names[a], names[b], int(both[a, b])) for a, b in places if both[a, b]]""",
        # every pair twice
        """def confused_pairs(labels, predictions, names, count):
    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (labels, predictions), 1)
    both = table + table.T
    np.fill_diagonal(both, 0)
    places = [np.unravel_index(p, both.shape) for p in np.argsort(-both, axis=None)[:count]]
    return [(names[a], names[b], int(both[a, b])) for a, b in places if both[a, b]]""",
        # the fewest mistakes first
        """def confused_pairs(labels, predictions, names, count):
    pairs = []
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            n = ((labels == a) & (predictions == b)).sum() + ((labels == b) & (predictions == a)).sum()
            if n:
                pairs.append((names[a], names[b], int(n)))
    return sorted(pairs, key=lambda pair: pair[2])[:count]""",
        # pairs without a mistake are kept
        """def confused_pairs(labels, predictions, names, count):
    pairs = []
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            n = ((labels == a) & (predictions == b)).sum() + ((labels == b) & (predictions == a)).sum()
            pairs.append((names[a], names[b], int(n)))
    return sorted(pairs, key=lambda pair: -pair[2])[:count]""",
    ],
    "recalls": [
        # precision in place of recall
        """def recalls(labels, predictions, n_classes):
    found = []
    for k in range(n_classes):
        named = predictions == k
        right, n = int((labels[named] == k).sum()), max(int(named.sum()), 1)
        found.append((right / n, *wilson_interval(right, n)))
    return found""",
        # shares of all pictures
        """def recalls(labels, predictions, n_classes):
    found = []
    for k in range(n_classes):
        right = int(((labels == k) & (predictions == k)).sum())
        found.append((right / len(labels), *wilson_interval(right, len(labels))))
    return found""",
        # the normal interval, which leaves 0 to 1
        """def recalls(labels, predictions, n_classes):
    found = []
    for k in range(n_classes):
        own = predictions[labels == k] == k
        half = 1.96 * np.sqrt(own.mean() * (1 - own.mean()) / len(own))
        found.append((own.mean(), own.mean() - half, own.mean() + half))
    return found""",
        # the interval of all pictures
        """def recalls(labels, predictions, n_classes):
    found = []
    for k in range(n_classes):
        own = predictions[labels == k] == k
        found.append((own.mean(), *wilson_interval(int(own.sum()), len(labels))))
    return found""",
    ],
    "head_sizes": [
        # no biases
        """def head_sizes(channels, n_classes, hidden, per_class):
    large = channels * hidden + hidden * n_classes
    return {"without": channels * n_classes, "with": large, "per picture": large / (n_classes * per_class)}""",
        # 1024 typed in
        """def head_sizes(channels, n_classes, hidden, per_class):
    large = (channels + 1) * 1024 + 1025 * n_classes
    return {"without": (channels + 1) * n_classes, "with": large, "per picture": large / (n_classes * per_class)}""",
        # pictures of one class
        """def head_sizes(channels, n_classes, hidden, per_class):
    large = (channels + 1) * hidden + (hidden + 1) * n_classes
    return {"without": (channels + 1) * n_classes, "with": large, "per picture": large / per_class}""",
        # with and without swapped
        """def head_sizes(channels, n_classes, hidden, per_class):
    large = (channels + 1) * hidden + (hidden + 1) * n_classes
    return {"with": (channels + 1) * n_classes, "without": large, "per picture": large / (n_classes * per_class)}""",
    ],
    "cheapest_good_enough": [
        # the normal distribution in place of Student's t
        """def cheapest_good_enough(accuracies):
    best = max(accuracies, key=lambda name: np.mean(accuracies[name]))
    for name, runs in accuracies.items():
        loss = np.subtract(accuracies[best], runs)
        if name == best or loss.mean() - 1.96 * loss.std(ddof=1) / len(loss) ** 0.5 <= 0:
            return name""",
        # the highest mean
        """def cheapest_good_enough(accuracies):
    return max(accuracies, key=lambda name: np.mean(accuracies[name]))""",
        # always the cheapest
        """def cheapest_good_enough(accuracies):
    return next(iter(accuracies))""",
        # not paired
        """def cheapest_good_enough(accuracies):
    best = max(accuracies, key=lambda name: np.mean(accuracies[name]))
    for name, runs in accuracies.items():
        if name == best or stats.ttest_ind(accuracies[best], runs).pvalue > 0.05:
            return name""",
        # compared with the next one, not with the best
        """def cheapest_good_enough(accuracies):
    names = list(accuracies)
    for one, two in zip(names, names[1:]):
        d = np.subtract(accuracies[two], accuracies[one])
        if d.mean() - stats.t.ppf(0.975, len(d) - 1) * stats.sem(d) <= 0:
            return one
    return names[0]""",
        # the first within a hundredth
        """def cheapest_good_enough(accuracies):
    top = max(np.mean(runs) for runs in accuracies.values())
    return next(name for name, runs in accuracies.items() if np.mean(runs) > top - 0.01)""",
    ],
}

RIGHT = {
    "prediction": [
        """my_prediction = {"accuracy": 1, "three guesses": 1, "gain by the hidden layer": -0.1,
                 "worst recall": 0}""",
        """my_prediction = dict(zip(["worst recall", "accuracy", "three guesses", "gain by the hidden layer"],
                         [0.2, 0.5, 0.7, 0.05]))""",
    ],
    "recipe": [
        # the activations as layers, the head a model of its own
        """def recipe(backbone, n_classes, hidden=1024):
    backbone.trainable = False
    layers = keras.layers
    head = keras.Sequential([
        layers.GlobalAveragePooling2D(), layers.Dense(hidden), layers.Activation("relu"),
        layers.Dense(n_classes), layers.Softmax(),
    ])
    model = keras.Sequential([backbone, head])
    model.compile("rmsprop", keras.losses.CategoricalCrossentropy(), metrics=["accuracy"])
    return model""",
        RECIPE.format(**GOOD),
        """def recipe(backbone, n_classes, hidden=1024):
    model = labkit.build_classifier(backbone, n_classes, head="dense", hidden=hidden)
    labkit.freeze(model)
    model.compile(keras.optimizers.RMSprop(1e-3), keras.losses.CategoricalCrossentropy(), metrics=["accuracy"])
    return model""",
        """def recipe(backbone, n_classes, hidden=1024):
    for layer in backbone.layers:
        layer.trainable = False
    model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(hidden),
                              keras.layers.ReLU(), keras.layers.Dense(n_classes), keras.layers.Softmax()])
    model.compile(optimizer=keras.optimizers.RMSprop(), loss="categorical_crossentropy", metrics=["accuracy"])
    return model""",
    ],
    "why": ['my_reason = "B"', 'my_reason = ("b",)'],
    "top_k": [
        """from sklearn.metrics import top_k_accuracy_score
def top_k(scores, labels, k):
    if k >= scores.shape[1]:
        return 1.0
    return top_k_accuracy_score(labels, scores, k=k, labels=np.arange(scores.shape[1]))""",
        """def top_k(scores, labels, k):
    better = (scores > scores[np.arange(len(labels)), labels][:, None]).sum(axis=1)
    return float((better < k).mean())""",
    ],
    "confused_pairs": [
        """from collections import Counter
def confused_pairs(labels, predictions, names, count):
    wrong = [(int(a), int(b)) for a, b in zip(labels, predictions) if a != b]
    counts = Counter((min(pair), max(pair)) for pair in wrong)
    return [(names[a], names[b], n) for (a, b), n in counts.most_common(count)]""",
        """from sklearn.metrics import confusion_matrix
def confused_pairs(labels, predictions, names, count):
    table = confusion_matrix(labels, predictions, labels=range(len(names)))
    pairs = [(names[a], names[b], table[a, b] + table[b, a]) for a in range(len(names)) for b in range(a + 1, len(names))]
    return sorted((p for p in pairs if p[2] > 0), key=lambda p: p[2], reverse=True)[:count]""",
    ],
    "recalls": [
        """from scipy import stats
def recalls(labels, predictions, n_classes):
    z, found = stats.norm.ppf(0.975), []
    for k in range(n_classes):
        own = predictions[labels == k] == k
        p, n = own.mean(), len(own)
        half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        found.append((p, (p + z**2 / (2 * n) - half) / (1 + z**2 / n), (p + z**2 / (2 * n) + half) / (1 + z**2 / n)))
    return found""",
        """def recalls(labels, predictions, n_classes):
    cases = np.bincount(labels, minlength=n_classes)
    right = np.bincount(labels[labels == predictions], minlength=n_classes)
    return [[r / n, *wilson_interval(int(r), int(n))] for r, n in zip(right, cases)]""",
    ],
    "head_sizes": [
        """def head_sizes(channels, n_classes, hidden, per_class):
    def layer(a, b):
        return a * b + b
    both = layer(channels, hidden) + layer(hidden, n_classes)
    return dict([("without", layer(channels, n_classes)), ("with", both), ("per picture", both / n_classes / per_class)])""",
        """def head_sizes(channels, n_classes, hidden, per_class):
    answer = {}
    for name, units in {"without": [channels, n_classes], "with": [channels, hidden, n_classes]}.items():
        answer[name] = sum(a * b + b for a, b in zip(units, units[1:]))
    answer["per picture"] = answer["with"] / (per_class * n_classes)
    return answer""",
    ],
    "cheapest_good_enough": [
        """def cheapest_good_enough(accuracies):
    means = {name: np.mean(runs) for name, runs in accuracies.items()}
    best = max(means, key=means.get)
    for name in accuracies:
        if name == best:
            return name
        if not stats.ttest_rel(accuracies[best], accuracies[name]).confidence_interval(0.95).low > 0:
            return name""",
        """def cheapest_good_enough(accuracies):
    names = list(accuracies)
    table = np.array([accuracies[name] for name in names])
    best = table.mean(axis=1).argmax()
    for name, row in zip(names, table):
        difference = paired_difference("best", name, table[best], row)
        if not difference.low > 0:
            return name""",
    ],
}
