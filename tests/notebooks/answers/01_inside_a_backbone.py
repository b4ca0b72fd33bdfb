"""Answers to the exercises of lesson 1: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "general_or_specific": ['my_parts = "a"', 'my_parts = "abc"', 'my_parts = "acd"', 'my_parts = "b"'],
    "model_facts": [
        # all layers, with weights or not
        """def model_facts(model):
    return {"parameters": model.count_params(), "depth": len(model.layers)}""",
        # trainable parameters only
        """def model_facts(model):
    return {"parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
            "depth": sum(bool(layer.weights) for layer in model.layers)}""",
        # a model inside counts as one layer
        """def model_facts(model):
    return {"parameters": model.count_params(), "depth": sum(bool(layer.weights) for layer in model.layers)}""",
        # arrays, not layers
        """def model_facts(model):
    return {"parameters": model.count_params(), "depth": len(model.weights)}""",
        # what is published of one network
        """def model_facts(model):
    return {"parameters": 4694024, "depth": 99}""",
    ],
    "choose_backbone": [
        # the smallest
        """def choose_backbone(rows, max_mb):
    return min(rows, key=lambda row: row["size_mb"])["name"]""",
        # size is not looked at
        """def choose_backbone(rows, max_mb):
    return max(rows, key=lambda row: row["top1"])["name"]""",
        # of equals the first, and an error where none fits
        """def choose_backbone(rows, max_mb):
    return max((r for r in rows if r["size_mb"] <= max_mb), key=lambda row: row["top1"])["name"]""",
        # smaller than, not at most
        """def choose_backbone(rows, max_mb):
    fits = [r for r in rows if r["size_mb"] < max_mb]
    return max(fits, key=lambda r: (r["top1"], -r["size_mb"]))["name"] if fits else None""",
        # the row, not its name
        """def choose_backbone(rows, max_mb):
    return max((r for r in rows if r["size_mb"] <= max_mb), key=lambda row: row["top1"], default=None)""",
    ],
    "conv_parameters": [
        # no biases
        """def conv_parameters(kernel, inputs, outputs, bias=True):
    return kernel * kernel * inputs * outputs""",
        # the side of the window once
        """def conv_parameters(kernel, inputs, outputs, bias=True):
    return (kernel * inputs + bias) * outputs""",
        # a bias a channel that goes in
        """def conv_parameters(kernel, inputs, outputs, bias=True):
    return kernel * kernel * inputs * outputs + inputs""",
        # a window of three always
        """def conv_parameters(kernel, inputs, outputs, bias=True):
    return (9 * inputs + 1) * outputs""",
    ],
    "step_by_step": [
        # nothing frozen
        """def step_by_step(backbone, n_classes):
    row = keras.layers.Flatten()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(n_classes, activation="softmax")(row))""",
        # averaged, not flattened
        """def step_by_step(backbone, n_classes):
    backbone.trainable = False
    row = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(n_classes, activation="softmax")(row))""",
        # no softmax
        """def step_by_step(backbone, n_classes):
    backbone.trainable = False
    row = keras.layers.Flatten()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(n_classes)(row))""",
        # always two classes
        """def step_by_step(backbone, n_classes):
    backbone.trainable = False
    row = keras.layers.Flatten()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(2, activation="softmax")(row))""",
        # a hidden layer too many
        """def step_by_step(backbone, n_classes):
    backbone.trainable = False
    row = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(backbone.output))
    return keras.Model(backbone.input, keras.layers.Dense(n_classes, activation="softmax")(row))""",
        # the head is frozen as well
        """def step_by_step(backbone, n_classes):
    row = keras.layers.Flatten()(backbone.output)
    model = keras.Model(backbone.input, keras.layers.Dense(n_classes, activation="softmax")(row))
    model.trainable = False
    return model""",
    ],
    "cut_at": [
        # the whole backbone
        """def cut_at(backbone, layer_name):
    return backbone""",
        # one layer too early
        """def cut_at(backbone, layer_name):
    place = [layer.name for layer in backbone.layers].index(layer_name)
    return keras.Model(backbone.input, backbone.layers[place - 1].output)""",
        # a copy with new random weights
        """def cut_at(backbone, layer_name):
    return keras.models.clone_model(keras.Model(backbone.input, backbone.get_layer(layer_name).output))""",
        # always the second block
        """def cut_at(backbone, layer_name):
    return keras.Model(backbone.input, backbone.get_layer("block2b_add").output)""",
    ],
    "prediction": [
        "my_prediction = {}",
        'my_prediction = {"pets": "block7"}',
        'my_prediction = {"pets": "the last", "cells": "block4"}',
    ],
    "earliest_good_enough": [
        # the best
        """def earliest_good_enough(blocks, accuracies, margin):
    return blocks[int(np.mean(accuracies, axis=1).argmax())]""",
        # the best single run decides
        """def earliest_good_enough(blocks, accuracies, margin):
    best = np.max(accuracies, axis=1)
    return next(b for b, a in zip(blocks, best) if a >= best.max() - margin)""",
        # means over blocks, not over seeds
        """def earliest_good_enough(blocks, accuracies, margin):
    means = np.mean(accuracies, axis=0)
    return next(b for b, a in zip(blocks, means) if a >= means.max() - margin)""",
        # the last that is good enough
        """def earliest_good_enough(blocks, accuracies, margin):
    means = np.mean(accuracies, axis=1)
    return [b for b, a in zip(blocks, means) if a >= means.max() - margin][-1]""",
        # the number of the block
        """def earliest_good_enough(blocks, accuracies, margin):
    means = np.mean(accuracies, axis=1)
    return int(np.argmax(means >= means.max() - margin))""",
    ],
}

RIGHT = {
    "general_or_specific": ['my_parts = "ca"', 'my_parts = ["a", "c"]'],
    "model_facts": [
        """def model_facts(model):
    waiting, depth = list(model.layers), 0
    while waiting:
        layer = waiting.pop()
        inner = getattr(layer, "layers", None)
        if inner is None:
            depth += len(layer.weights) > 0
        else:
            waiting.extend(inner)
    return {"depth": depth, "parameters": sum(int(np.prod(w.shape)) for w in model.weights)}""",
        """def model_facts(model):
    leaves = [layer for layer in model._flatten_layers() if not hasattr(layer, "layers") and layer.weights]
    return {"parameters": labkit.count_parameters(model).total, "depth": len(leaves)}""",
    ],
    "choose_backbone": [
        """def choose_backbone(rows, max_mb):
    order = sorted(rows, key=lambda row: (-row["top1"], row["size_mb"]))
    return next((row["name"] for row in order if row["size_mb"] <= max_mb), None)""",
        """def choose_backbone(rows, max_mb):
    best = None
    for row in rows:
        if row["size_mb"] > max_mb:
            continue
        if best is None or row["top1"] > best["top1"] or (row["top1"] == best["top1"] and row["size_mb"] < best["size_mb"]):
            best = row
    return best["name"] if best else None""",
    ],
    "conv_parameters": [
        """def conv_parameters(kernel, inputs, outputs, bias=True):
    weights = kernel ** 2 * inputs * outputs
    return weights + outputs if bias else weights""",
        """def conv_parameters(kernel, inputs, outputs, bias=True):
    layer = keras.layers.Conv2D(outputs, kernel, use_bias=bias)
    layer.build((None, 32, 32, inputs))
    return layer.count_params()""",
    ],
    "step_by_step": [
        """def step_by_step(backbone, n_classes):
    backbone.trainable = False
    return keras.Sequential([backbone, keras.layers.Flatten(), keras.layers.Dense(n_classes, activation="softmax")])""",
        """def step_by_step(backbone, n_classes):
    for layer in backbone.layers:
        layer.trainable = False
    images = keras.Input(backbone.input_shape[1:])
    x = keras.layers.Dense(n_classes)(keras.layers.Flatten()(backbone(images)))
    return keras.Model(images, keras.layers.Softmax()(x))""",
    ],
    "cut_at": [
        """def cut_at(backbone, layer_name):
    layer = next(layer for layer in backbone.layers if layer.name == layer_name)
    return keras.Model(inputs=backbone.input, outputs=layer.output)""",
        """def cut_at(backbone, layer_name):
    outputs = {layer.name: layer.output for layer in backbone.layers}
    return keras.Model(backbone.inputs[0], outputs[layer_name], name="cut")""",
    ],
    "prediction": [
        'my_prediction = {"pets": "stem", "cells": "top"}',
        'my_prediction = dict.fromkeys(("cells", "pets"), "block5")',
    ],
    "earliest_good_enough": [
        """def earliest_good_enough(blocks, accuracies, margin):
    means = np.asarray(accuracies, float).mean(axis=1)
    return blocks[int(np.argmax(means >= means.max() - margin))]""",
        """def earliest_good_enough(blocks, accuracies, margin):
    means = [sum(row) / len(row) for row in accuracies]
    for block, mean in zip(blocks, means):
        if max(means) - mean <= margin + 1e-12:
            return block""",
    ],
}
