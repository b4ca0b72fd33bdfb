"""Answers to the exercises of lesson 2: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "prediction": [
        "my_prediction = {}",
        'my_prediction = {"transfer, few labels": 0.9, "scratch, few labels": 0.5}',
        """my_prediction = {"transfer, few labels": 85, "transfer, many labels": 95,
                 "scratch, few labels": 55, "scratch, many labels": 70}""",
    ],
    "freeze": [
        # the base is trainable
        """def build_frozen_classifier(backbone, n_classes):
    return labkit.build_classifier(backbone, n_classes)""",
        # the head is frozen as well
        """def build_frozen_classifier(backbone, n_classes):
    model = labkit.build_classifier(backbone, n_classes)
    model.trainable = False
    return model""",
        # always two classes
        """def build_frozen_classifier(backbone, n_classes):
    model = labkit.build_classifier(backbone, 2)
    labkit.freeze(model)
    return model""",
        # BatchNorm layers stay alive
        """import keras
def build_frozen_classifier(backbone, n_classes):
    model = labkit.build_classifier(backbone, n_classes)
    for layer in backbone.layers:
        layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
    return model""",
        # sigmoid in place of softmax
        """import keras
def build_frozen_classifier(backbone, n_classes):
    backbone.trainable = False
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(n_classes, activation="sigmoid")(x))""",
    ],
    "head_parameters": [
        # no biases
        """def head_parameters(height, width, channels, n_classes, hidden):
    return {"gap": channels * n_classes, "flatten": height * width * channels * n_classes,
            "dense": channels * hidden + hidden * n_classes}""",
        # flatten forgets the map's size
        """def head_parameters(height, width, channels, n_classes, hidden):
    layer = lambda a, b: a * b + b
    return {"gap": layer(channels, n_classes), "flatten": layer(channels, n_classes),
            "dense": layer(channels, hidden) + layer(hidden, n_classes)}""",
        # numbers of this backbone typed in
        """def head_parameters(height, width, channels, n_classes, hidden):
    return {"gap": 2562, "flatten": height * width * 1280 * 2 + 2, "dense": 82114}""",
        # one bias too few in dense
        """def head_parameters(height, width, channels, n_classes, hidden):
    layer = lambda a, b: a * b + b
    return {"gap": layer(channels, n_classes), "flatten": layer(height * width * channels, n_classes),
            "dense": channels * hidden + layer(hidden, n_classes)}""",
    ],
    "pooled_features": [
        # maximum
        """def pooled_features(backbone, images):
    return np.asarray(backbone(images.astype("float32"), training=False)).max(axis=(1, 2))""",
        # scaled twice
        """def pooled_features(backbone, images):
    return np.asarray(backbone(images.astype("float32") / 255, training=False)).mean(axis=(1, 2))""",
        # training mode
        """def pooled_features(backbone, images):
    return np.asarray(backbone(images.astype("float32"), training=True)).mean(axis=(1, 2))""",
        # not averaged
        """def pooled_features(backbone, images):
    return np.asarray(backbone(images.astype("float32"), training=False)).reshape(len(images), -1)""",
    ],
    "compare_heads": [
        # no SVM
        """def compare_heads(backbone, dataset):
    results = {}
    for head in ("gap", "dense"):
        model = labkit.build_classifier(backbone, len(dataset.classes), head=head)
        labkit.set_strategy(model, "frozen")
        results[head] = labkit.train(model, dataset, epochs=1)
    return results""",
        # the same head under two names
        """def compare_heads(backbone, dataset):
    model = labkit.build_classifier(backbone, len(dataset.classes))
    labkit.set_strategy(model, "frozen")
    result = labkit.train(model, dataset, epochs=1)
    return {"gap": result, "dense": result, "svm": labkit.train_svm(backbone, dataset)}""",
        # not frozen
        """def compare_heads(backbone, dataset):
    results = {"svm": labkit.train_svm(backbone, dataset)}
    for head in ("gap", "dense"):
        model = labkit.build_classifier(backbone, len(dataset.classes), head=head)
        labkit.set_strategy(model, "partial", top=1)
        results[head] = labkit.train(model, dataset, epochs=1)
    return results""",
        # made up
        """def compare_heads(backbone, dataset):
    k, n = len(dataset.classes), len(dataset.test)
    numbers = np.random.default_rng(1)
    svm = labkit.train_svm(backbone, dataset)
    return {
        "gap": replace(svm, scores=numbers.random((n, k))),
        "dense": replace(svm, scores=numbers.random((n, k))),
        "svm": replace(svm, scores=numbers.normal(size=(n, k))),
    }""",
        # looks at the test labels
        """def compare_heads(backbone, dataset):
    labels, numbers = dataset.test.labels, np.random.default_rng(1)
    svm = labkit.train_svm(backbone, dataset)
    good = np.eye(len(dataset.classes))[labels] + 0.1 * numbers.normal(size=(len(labels), 1))
    return {"gap": replace(svm, scores=good), "dense": replace(svm, scores=good + 0.1), "svm": svm}""",
        # always the same data
        """def compare_heads(backbone, other):
    results = {"svm": labkit.train_svm(backbone, dataset)}
    for head in ("gap", "dense"):
        model = labkit.build_classifier(backbone, len(dataset.classes), head=head)
        labkit.set_strategy(model, "frozen")
        results[head] = labkit.train(model, dataset, epochs=1)
    return results""",
    ],
    "accuracies_by_labels": [
        # rows and columns swapped
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    return np.array([[train_once(dataset.with_train(dataset.train.take(n, seed=s)), s)
                      for n in sizes] for s in seeds])""",
        # the seed does not choose the pictures
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    return np.array([[train_once(dataset.with_train(dataset.train.take(n)), s)
                      for s in seeds] for n in sizes])""",
        # not balanced
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    return np.array([[train_once(dataset.with_train(dataset.train.pick(range(2 * n))), s)
                      for s in seeds] for n in sizes])""",
        # all pictures every time
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    return np.array([[train_once(dataset, s) for s in seeds] for n in sizes])""",
        # seeds numbered anew
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    return np.array([[train_once(dataset.with_train(dataset.train.take(n, seed=s)), s)
                      for s in range(len(seeds))] for n in sizes])""",
    ],
    "interval": [
        """def interval(accuracies):
    a = np.asarray(accuracies, float)
    half = 1.96 * a.std(ddof=1) / np.sqrt(len(a))
    return a.mean(), a.mean() - half, a.mean() + half""",
        """def interval(accuracies):
    a = np.asarray(accuracies, float)
    half = stats.t.ppf(0.975, len(a) - 1) * a.std() / np.sqrt(len(a))
    return a.mean(), a.mean() - half, a.mean() + half""",
        """def interval(accuracies):
    a = np.asarray(accuracies, float)
    half = stats.t.ppf(0.975, len(a) - 1) * a.std(ddof=1)
    return a.mean(), a.mean() - half, a.mean() + half""",
        """def interval(accuracies):
    a = np.asarray(accuracies, float)
    half = stats.t.ppf(0.95, len(a) - 1) * a.std(ddof=1) / np.sqrt(len(a))
    return a.mean(), a.mean() - half, a.mean() + half""",
    ],
    "labels_needed": [
        # compares with the first row of scratch
        """def labels_needed(sizes, transfer, scratch):
    return next((n for n, row in zip(sizes, transfer) if row.mean() >= scratch[0].mean()), None)""",
        # the best single run, not the mean
        """def labels_needed(sizes, transfer, scratch):
    return next((n for n, row in zip(sizes, transfer) if row.max() >= scratch[-1].mean()), None)""",
        # the largest size in place of None
        """def labels_needed(sizes, transfer, scratch):
    for n, row in zip(sizes, transfer):
        if row.mean() >= scratch[-1].mean():
            break
    return n""",
    ],
    "most_confidently_wrong": [
        # least sure first
        """def most_confidently_wrong(result, count):
    p = result.scores.argmax(axis=1)
    wrong = np.flatnonzero(p != result.labels)
    return wrong[np.argsort(result.scores[wrong].max(axis=1))][:count]""",
        # sorts all pictures, right ones among them
        """def most_confidently_wrong(result, count):
    return np.argsort(-result.scores.max(axis=1))[:count]""",
        # places among the wrong ones, not in the test split
        """def most_confidently_wrong(result, count):
    p = result.scores.argmax(axis=1)
    wrong = np.flatnonzero(p != result.labels)
    return np.argsort(-result.scores[wrong].max(axis=1))[:count]""",
        # two classes only
        """def most_confidently_wrong(result, count):
    p = (result.scores[:, 1] > 0.5).astype(int)
    wrong = np.flatnonzero(p != result.labels)
    return wrong[np.argsort(-result.scores[wrong].max(axis=1))][:count]""",
    ],
}

RIGHT = {
    "prediction": [
        """my_prediction = dict(zip(
    ["transfer, few labels", "transfer, many labels", "scratch, few labels", "scratch, many labels"],
    [0.5, 1, 0.5, 1]))""",
        """my_prediction = {f"{way}, {n} labels": 0.75 for way in ("scratch", "transfer") for n in ("many", "few")}""",
    ],
    "freeze": [
        """import keras
def build_frozen_classifier(backbone, n_classes):
    backbone.trainable = False
    images = keras.Input(backbone.input_shape[1:])
    x = keras.layers.GlobalAveragePooling2D()(backbone(images, training=False))
    return keras.Model(images, keras.layers.Dense(n_classes, activation="softmax")(x))""",
        """import keras
def build_frozen_classifier(backbone, n_classes):
    for layer in backbone.layers:
        layer.trainable = False
    return keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D(),
                             keras.layers.Dense(n_classes), keras.layers.Softmax()])""",
        """def build_frozen_classifier(backbone, n_classes):
    labkit.freeze(backbone)
    return labkit.build_classifier(backbone, n_classes, head="gap")""",
    ],
    "head_parameters": [
        """def head_parameters(height, width, channels, n_classes, hidden):
    return dict(gap=(channels + 1) * n_classes, flatten=(height * width * channels + 1) * n_classes,
                dense=(channels + 1) * hidden + (hidden + 1) * n_classes)""",
        """def head_parameters(height, width, channels, n_classes, hidden):
    answer = {}
    for name, sizes in {"gap": [channels, n_classes], "flatten": [height * width * channels, n_classes],
                        "dense": [channels, hidden, n_classes]}.items():
        answer[name] = sum(a * b + b for a, b in zip(sizes, sizes[1:]))
    return answer""",
    ],
    "pooled_features": [
        """def pooled_features(backbone, images):
    return backbone.predict(images.astype("float32"), verbose=0).mean(axis=1).mean(axis=1)""",
        """import keras
def pooled_features(backbone, images):
    pool = keras.layers.GlobalAveragePooling2D()
    return pool(backbone(np.asarray(images, "float32"), training=False)).numpy()""",
    ],
    "compare_heads": [
        """def compare_heads(backbone, dataset):
    labkit.freeze(backbone)
    k = len(dataset.classes)
    return {
        "svm": labkit.train_svm(backbone, dataset, C=0.01),
        "gap": labkit.train(labkit.build_classifier(backbone, k), dataset, epochs=5),
        "dense": labkit.train(labkit.build_classifier(backbone, k, head="dense", hidden=64), dataset, epochs=5),
    }""",
        """def compare_heads(backbone, dataset):
    def trained(head):
        model = labkit.build_classifier(backbone, len(dataset.classes), head=head, seed=3)
        labkit.freeze(model)
        return labkit.train(model, dataset, learning_rate=1e-3, seed=3)
    return {"gap": trained("gap"), "dense": trained("dense"), "svm": labkit.train_svm(backbone, dataset)}""",
    ],
    "accuracies_by_labels": [
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    out = np.zeros((len(sizes), len(seeds)))
    for i, n in enumerate(sizes):
        for j, s in enumerate(seeds):
            out[i, j] = train_once(dataset.with_train(dataset.train.take(n, seed=s)), s)
    return out""",
        """def accuracies_by_labels(train_once, dataset, sizes, seeds):
    def smaller(n, s):
        numbers = np.random.default_rng(s)
        chosen = [numbers.permutation(np.flatnonzero(dataset.train.labels == k))[:n] for k in range(len(dataset.classes))]
        return dataset.with_train(dataset.train.pick(np.concatenate(chosen)))
    return [[train_once(smaller(n, s), s) for s in seeds] for n in sizes]""",
    ],
    "interval": [
        """def interval(accuracies):
    a = np.asarray(accuracies, float)
    low, high = stats.t.interval(0.95, len(a) - 1, a.mean(), stats.sem(a))
    return a.mean(), low, high""",
        """import statistics
def interval(accuracies):
    a = [float(x) for x in accuracies]
    m, s, n = statistics.mean(a), statistics.stdev(a), len(a)
    half = stats.t(n - 1).ppf(0.975) * s / n ** 0.5
    return [m, m - half, m + half]""",
    ],
    "labels_needed": [
        """def labels_needed(sizes, transfer, scratch):
    good = [n for n, row in zip(sizes, transfer) if sum(row) / len(row) >= np.mean(scratch, axis=1)[-1]]
    return min(good) if good else None""",
        """def labels_needed(sizes, transfer, scratch):
    reached = np.asarray(transfer).mean(axis=1) >= np.asarray(scratch)[-1].mean()
    return sizes[int(reached.argmax())] if reached.any() else None""",
    ],
    "most_confidently_wrong": [
        """def most_confidently_wrong(result, count):
    wrong = [i for i in range(len(result.labels)) if result.scores[i].argmax() != result.labels[i]]
    return sorted(wrong, key=lambda i: -result.scores[i].max())[:count]""",
        """def most_confidently_wrong(result, count):
    sure = np.where(result.predictions != result.labels, result.scores.max(axis=1), -np.inf)
    order = np.argsort(sure)[::-1]
    return order[: min(count, int(np.isfinite(sure).sum()))]""",
    ],
}
