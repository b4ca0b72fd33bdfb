"""Answers to the exercises of lesson 0: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "four_ways": [
        'my_ways = {"camera": "b", "cartoon": "b", "boxes": "c", "clinic": "d"}',
        'my_ways = {"camera": "a", "cartoon": "a", "boxes": "c", "clinic": "d"}',
        'my_ways = {"camera": "a", "cartoon": "b", "boxes": "c", "clinic": "b"}',
        'my_ways = {"camera": "a", "cartoon": "b", "boxes": "c"}',
        'my_ways = {"camera": "the first", "cartoon": "b", "boxes": "c", "clinic": "d"}',
    ],
    "match_input": [
        # scaled to 0..1
        """def match_input(images, size):
    enlarged = tf.image.resize(np.asarray(images, "float32")[..., None] / 255, (size, size))
    return np.repeat(enlarged.numpy(), 3, axis=-1)""",
        # only red
        """def match_input(images, size):
    enlarged = tf.image.resize(np.asarray(images, "float32")[..., None], (size, size)).numpy()
    return np.concatenate([enlarged, np.zeros_like(enlarged), np.zeros_like(enlarged)], axis=-1)""",
        # turned on its side
        """def match_input(images, size):
    grey = np.transpose(np.asarray(images, "float32"), (0, 2, 1))[..., None]
    return np.repeat(tf.image.resize(grey, (size, size)).numpy(), 3, axis=-1)""",
        # a row of numbers repeated, not a picture enlarged
        """def match_input(images, size):
    return np.stack([np.resize(np.asarray(i, "float32"), (size, size, 3)) for i in images])""",
        # padded with black
        """def match_input(images, size):
    images = np.asarray(images, "float32")
    pad = size - images.shape[1]
    return np.repeat(np.pad(images, ((0, 0), (0, pad), (0, pad)))[..., None], 3, axis=-1)""",
        # whole numbers, one channel
        """def match_input(images, size):
    return np.repeat(np.repeat(images, size // images.shape[1], 1), size // images.shape[2], 2)[..., None]""",
    ],
    "cats_or_dogs": [
        # the largest single class
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    return (scores[:, dog_classes].max(axis=1) > scores[:, cat_classes].max(axis=1)).astype(int)""",
        # means
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    return (scores[:, dog_classes].mean(axis=1) > scores[:, cat_classes].mean(axis=1)).astype(int)""",
        # the other way round
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    return (scores[:, dog_classes].sum(axis=1) < scores[:, cat_classes].sum(axis=1)).astype(int)""",
        # more than a half needed
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    return (scores[:, dog_classes].sum(axis=1) > 0.5).astype(int)""",
        # is the first answer a dog?
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    return np.isin(scores.argmax(axis=1), dog_classes).astype(int)""",
    ],
    "adjust_to_shares": [
        # not made to add up to one
        """def adjust_to_shares(scores, old, new):
    return scores * np.asarray(new) / np.asarray(old)""",
        # upside down
        """def adjust_to_shares(scores, old, new):
    weighted = scores * np.asarray(old) / np.asarray(new)
    return weighted / weighted.sum(axis=1, keepdims=True)""",
        # the old shares are forgotten
        """def adjust_to_shares(scores, old, new):
    weighted = scores * np.asarray(new)
    return weighted / weighted.sum(axis=1, keepdims=True)""",
        # columns add up to one
        """def adjust_to_shares(scores, old, new):
    weighted = scores * (np.asarray(new) / np.asarray(old))
    return weighted / weighted.sum(axis=0)""",
        # two classes only
        """def adjust_to_shares(scores, old, new):
    a, b = scores[:, 0] * new[0] / old[0], scores[:, 1] * new[1] / old[1]
    return np.stack([a / (a + b), b / (a + b)], axis=1)""",
    ],
    "steps": [
        'my_steps = {"odd_one_out": "c", "what_follows": "b"}',
        'my_steps = {"odd_one_out": "d", "what_follows": "a"}',
        'my_steps = {"odd_one_out": "d"}',
        'my_steps = {"odd_one_out": "d", "what_follows": "bc"}',
    ],
}

RIGHT = {
    "four_ways": [
        'my_ways = dict(zip(("camera", "cartoon", "boxes", "clinic"), "abcd"))',
        'my_ways = {"clinic": "D", "boxes": ["c"], "camera": " a", "cartoon": "b"}',
    ],
    "match_input": [
        # each number becomes a square
        """def match_input(images, size):
    places = np.arange(size) * images.shape[1] // size
    return np.stack([images[:, places][:, :, places].astype("float32")] * 3, axis=-1)""",
        """from PIL import Image
def match_input(images, size):
    enlarged = [np.asarray(Image.fromarray(i).resize((size, size)).convert("RGB"), float) for i in images]
    return np.array(enlarged)""",
        """import keras
def match_input(images, size):
    x = keras.layers.Resizing(size, size, interpolation="nearest")(images.astype("float32")[..., None])
    return np.tile(np.asarray(x), (1, 1, 1, 3))""",
    ],
    "cats_or_dogs": [
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    sums = np.stack([scores[:, list(c)].sum(axis=1) for c in (cat_classes, dog_classes)])
    return sums.argmax(axis=0)""",
        """def cats_or_dogs(scores, cat_classes, dog_classes):
    return [int(sum(row[d] for d in dog_classes) > sum(row[c] for c in cat_classes)) for row in scores]""",
    ],
    "adjust_to_shares": [
        """def adjust_to_shares(scores, old, new):
    logs = np.log(np.maximum(scores, 1e-12)) + np.log(new) - np.log(old)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1)[:, None]""",
        """def adjust_to_shares(scores, old, new):
    rows = [[s * n / o for s, o, n in zip(row, old, new)] for row in scores]
    return np.array([[x / sum(row) for x in row] for row in rows])""",
    ],
    "steps": [
        'my_steps = {"what_follows": "b", "odd_one_out": "d"}',
        'my_steps = dict(odd_one_out="D", what_follows=("b",))',
    ],
}
