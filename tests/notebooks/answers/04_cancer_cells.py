"""Answers to the exercises of lesson 4: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "what_it_says": ['my_reading = "a"', 'my_reading = "c"', 'my_reading = "d"', 'my_reading = "bd"', "my_reading = 'x'"],
    "prediction": [
        "my_prediction = {}",
        'my_prediction = {"sensitivity": 0.9, "accuracy, cue swapped": 0.5}',
        'my_prediction = {"sensitivity": -0.5, "gain by a bad split": 0, "accuracy, cue swapped": 1}',
        'my_prediction = {"sensitivity": 90, "gain by a bad split": 3, "accuracy, cue swapped": 50}',
    ],
    "two_rates": [
        # shares of all cells
        """def two_rates(abnormal, scores, threshold):
    called = scores >= threshold
    return (called & abnormal).mean(), (~called & ~abnormal).mean()""",
        # precision in place of sensitivity
        """def two_rates(abnormal, scores, threshold):
    called = scores >= threshold
    return abnormal[called].mean(), (~called[~abnormal]).mean()""",
        # above the threshold only
        """def two_rates(abnormal, scores, threshold):
    called = scores > threshold
    return called[abnormal].mean(), (~called[~abnormal]).mean()""",
        # the share of false alarms in place of specificity
        """def two_rates(abnormal, scores, threshold):
    called = scores >= threshold
    return called[abnormal].mean(), called[~abnormal].mean()""",
    ],
    "area": [
        # a tie counts as nothing
        """def area(abnormal, scores):
    return (scores[abnormal][:, None] > scores[~abnormal][None, :]).mean()""",
        # a tie counts as right
        """def area(abnormal, scores):
    return (scores[abnormal][:, None] >= scores[~abnormal][None, :]).mean()""",
        # the wrong way round
        """from sklearn.metrics import roc_auc_score
def area(abnormal, scores):
    return roc_auc_score(~abnormal, scores)""",
        # accuracy at one half
        """def area(abnormal, scores):
    return ((scores >= 0.5) == abnormal).mean()""",
        # neighbours only
        """def area(abnormal, scores):
    n = min(abnormal.sum(), (~abnormal).sum())
    return (scores[abnormal][:n] > scores[~abnormal][:n]).mean()""",
    ],
    "cheapest_threshold": [
        # a fixed row of thresholds
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    def cost(t):
        called = np.asarray(scores) >= t
        return miss * (abnormal & ~called).sum() + alarm * (~abnormal & called).sum()
    return min([*np.arange(0, 1.001, 0.01), np.inf], key=cost)""",
        # one half whatever it costs
        "def cheapest_threshold(abnormal, scores, miss, alarm):\n    return 0.5",
        # costs swapped
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    t, c = measures.costs(abnormal, scores, miss=alarm, alarm=miss)
    return t[c.argmin()]""",
        # never says "to nobody"
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    t, c = measures.costs(abnormal, scores, miss=miss, alarm=alarm)
    return t[:-1][c[:-1].argmin()]""",
        # the largest cost
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    t, c = measures.costs(abnormal, scores, miss=miss, alarm=alarm)
    return t[c.argmax()]""",
        # shares in place of counts: right only where the classes are equally frequent
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    def cost(t):
        return miss * (scores[abnormal] < t).mean() + alarm * (scores[~abnormal] >= t).mean()
    return min([*scores, np.inf], key=cost)""",
    ],
    "class_weights": [
        # the frequent class counts more
        """def class_weights(labels):
    k, m = np.unique(labels, return_counts=True)
    return dict(zip(k.tolist(), (m / len(labels)).tolist()))""",
        # the mean is not 1
        """def class_weights(labels):
    k, m = np.unique(labels, return_counts=True)
    return dict(zip(k.tolist(), (len(labels) / m).tolist()))""",
        # two classes only
        """def class_weights(labels):
    n, m = len(labels), (labels == 1).sum()
    return {0: n / (2 * max(n - m, 1)), 1: n / (2 * max(m, 1))}""",
        # classes numbered anew
        """def class_weights(labels):
    m = np.unique(labels, return_counts=True)[1]
    return {k: len(labels) / (len(m) * n) for k, n in enumerate(m)}""",
    ],
    "verdict": [
        # the larger mean wins
        """def verdict(ours, theirs):
    return "better" if np.mean(ours) > np.mean(theirs) else "worse\"""",
        # not paired
        """def verdict(ours, theirs):
    p = stats.ttest_ind(ours, theirs).pvalue
    return "cannot tell" if not p < 0.05 else "better" if np.mean(ours) > np.mean(theirs) else "worse\"""",
        # the normal distribution's 1.96
        """def verdict(ours, theirs):
    d = np.subtract(ours, theirs)
    half = 1.96 * d.std(ddof=1) / np.sqrt(len(d))
    return "better" if d.mean() > half else "worse" if d.mean() < -half else "cannot tell\"""",
        # never worse
        """def verdict(ours, theirs):
    d = np.subtract(ours, theirs)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return "better" if d.mean() > half else "cannot tell\"""",
        # it can always tell when no pair differs in direction
        """def verdict(ours, theirs):
    d = np.subtract(ours, theirs)
    return "better" if (d > 0).all() else "worse" if (d < 0).all() else "cannot tell\"""",
    ],
    "eight_views": [
        # four turns twice
        """def eight_views(image):
    return np.stack([np.rot90(image, k) for k in range(8)])""",
        # only four
        """def eight_views(image):
    return np.stack([np.rot90(image, k) for k in range(4)])""",
        # colours mirrored in place of columns
        """def eight_views(image):
    return np.stack([np.rot90(i, k) for i in (image, image[..., ::-1]) for k in range(4)])""",
        # another type
        """def eight_views(image):
    return np.stack([np.rot90(i, k) for i in (image, image[::-1]) for k in range(4)]) / 255""",
        # shifted, not turned
        """def eight_views(image):
    return np.stack([np.roll(image, k, axis=0) for k in range(8)])""",
    ],
    "split_by_group": [
        # cut off in place of rounded
        """def split_by_group(groups, share, seed):
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    held = np.isin(groups, names[: int(share * len(names))])
    return np.flatnonzero(~held), np.flatnonzero(held)""",
        # by picture
        """def split_by_group(groups, share, seed):
    order = np.random.default_rng(seed).permutation(len(groups))
    n = round(share * len(groups))
    return order[n:], order[:n]""",
        # the seed does nothing
        """def split_by_group(groups, share, seed):
    names = np.unique(groups)
    held = np.isin(groups, names[: round(share * len(names))])
    return np.flatnonzero(~held), np.flatnonzero(held)""",
        # train and test swapped
        """def split_by_group(groups, share, seed):
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    held = np.isin(groups, names[: round(share * len(names))])
    return np.flatnonzero(held), np.flatnonzero(~held)""",
        # a share of the pictures, the last group cut in two
        """def split_by_group(groups, share, seed):
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    order = np.concatenate([np.flatnonzero(groups == name) for name in names])
    n = round(share * len(groups))
    return order[n:], order[:n]""",
        # True and False in place of places
        """def split_by_group(groups, share, seed):
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    held = np.isin(groups, names[: round(share * len(names))])
    return ~held, held""",
    ],
    "heat_share": [
        # one number for all pictures
        """def heat_share(heat, box):
    return heat[:, box[0] : box[1], box[2] : box[3]].sum() / heat.sum()""",
        # the mean heat in the box
        """def heat_share(heat, box):
    return heat[:, box[0] : box[1], box[2] : box[3]].mean(axis=(1, 2))""",
        # rows and columns swapped
        """def heat_share(heat, box):
    total = heat.sum(axis=(1, 2))
    return heat[:, box[2] : box[3], box[0] : box[1]].sum(axis=(1, 2)) / np.where(total > 0, total, 1)""",
        # a map without heat is not a number
        """def heat_share(heat, box):
    with np.errstate(invalid="ignore"):
        return heat[:, box[0] : box[1], box[2] : box[3]].sum(axis=(1, 2)) / heat.sum(axis=(1, 2))""",
    ],
    "cover": [
        # changes what was given
        """def cover(images, box):
    images[:, box[0] : box[1], box[2] : box[3]] = 0
    return images""",
        # each picture's own mean colour, which the bar has moved
        """def cover(images, box):
    images = images.copy()
    inside = images[:, box[0] : box[1], box[2] : box[3]]
    images[:, box[0] : box[1], box[2] : box[3]] = inside.mean(axis=(1, 2), keepdims=True)
    return images""",
        # everything but the box
        """def cover(images, box):
    covered = np.zeros_like(images)
    covered[:, box[0] : box[1], box[2] : box[3]] = images[:, box[0] : box[1], box[2] : box[3]]
    return covered""",
        # the first picture only
        """def cover(images, box):
    images = images.copy()
    images[0, box[0] : box[1], box[2] : box[3]] = 0
    return images""",
        # cut off
        """def cover(images, box):
    return images[:, : box[0]].copy()""",
    ],
}

RIGHT = {
    "what_it_says": ['my_reading = "B"', 'my_reading = ["b"]'],
    "prediction": [
        'my_prediction = {"sensitivity": 1, "gain by a bad split": -0.1, "accuracy, cue swapped": 0}',
        'my_prediction = dict(zip(["accuracy, cue swapped", "gain by a bad split", "sensitivity"], [0.4, 0.2, 0.7]))',
    ],
    "two_rates": [
        """def two_rates(abnormal, scores, threshold):
    hits = misses = clears = alarms = 0
    for ill, score in zip(abnormal, scores):
        if ill:
            hits, misses = hits + (score >= threshold), misses + (score < threshold)
        else:
            clears, alarms = clears + (score < threshold), alarms + (score >= threshold)
    return hits / (hits + misses), clears / (clears + alarms)""",
        """from sklearn.metrics import recall_score
def two_rates(abnormal, scores, threshold):
    called = np.asarray(scores) >= threshold
    return [recall_score(abnormal, called, pos_label=k) for k in (True, False)]""",
    ],
    "area": [
        """from sklearn.metrics import roc_auc_score
def area(abnormal, scores):
    return roc_auc_score(abnormal, scores)""",
        """def area(abnormal, scores):
    pairs = [(a, b) for a in scores[abnormal] for b in scores[~abnormal]]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)""",
        """from scipy import stats
def area(abnormal, scores):
    return stats.mannwhitneyu(scores[abnormal], scores[~abnormal]).statistic / (abnormal.sum() * (~abnormal).sum())""",
    ],
    "cheapest_threshold": [
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    tried = np.append(scores, np.inf)
    below = scores[None, :] < tried[:, None]
    cost = miss * (below & abnormal).sum(axis=1) + alarm * (~below & ~abnormal).sum(axis=1)
    return float(tried[cost.argmin()])""",
        """def cheapest_threshold(abnormal, scores, miss, alarm):
    best, threshold = None, None
    for t in sorted(set(scores.tolist()), reverse=True) + [2.0]:
        cost = sum(miss for s in scores[abnormal] if s < t) + sum(alarm for s in scores[~abnormal] if s >= t)
        if best is None or cost < best:
            best, threshold = cost, t
    return threshold""",
    ],
    "class_weights": [
        """from sklearn.utils.class_weight import compute_class_weight
def class_weights(labels):
    classes = np.unique(labels)
    return dict(zip(classes.tolist(), compute_class_weight("balanced", classes=classes, y=labels)))""",
        """from collections import Counter
def class_weights(labels):
    counts = Counter(np.asarray(labels).tolist())
    return {k: sum(counts.values()) / len(counts) / n for k, n in counts.items()}""",
    ],
    "verdict": [
        """def verdict(ours, theirs):
    low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    return "better" if low > 0 else "worse" if high < 0 else "cannot tell\"""",
        """def verdict(ours, theirs):
    d = [a - b for a, b in zip(ours, theirs)]
    n, m = len(d), sum(d) / len(d)
    s = (sum((x - m) ** 2 for x in d) / (n - 1)) ** 0.5
    half = stats.t(n - 1).ppf(0.975) * s / n**0.5
    if abs(m) <= half:
        return "cannot tell"
    return "better" if m > 0 else "worse\"""",
    ],
    "eight_views": [
        """def eight_views(image):
    swapped = image.transpose(1, 0, 2)
    return np.array([one[::a, ::b] for one in (image, swapped) for a in (1, -1) for b in (1, -1)])""",
        """def eight_views(image):
    views = []
    for k in range(4):
        views += [np.rot90(image, k), np.flipud(np.rot90(image, k))]
    return np.stack(views)""",
    ],
    "split_by_group": [
        """import random
def split_by_group(groups, share, seed):
    names = sorted(set(groups.tolist()))
    held = set(random.Random(seed).sample(names, round(share * len(names))))
    places = range(len(groups))
    return np.array([i for i in places if groups[i] not in held]), np.array([i for i in places if groups[i] in held])""",
        """from sklearn.model_selection import GroupShuffleSplit
def split_by_group(groups, share, seed):
    n = round(share * len(set(groups)))
    return next(GroupShuffleSplit(1, test_size=n, random_state=seed).split(groups, groups=groups))""",
    ],
    "heat_share": [
        """def heat_share(heat, box):
    return np.array([m[box[0] : box[1], box[2] : box[3]].sum() / m.sum() if m.sum() > 0 else 0.0 for m in heat])""",
        """def heat_share(heat, box):
    inside = np.zeros(heat.shape[1:])
    inside[box[0] : box[1], box[2] : box[3]] = 1
    total = np.einsum("nij->n", heat)
    return np.nan_to_num(np.einsum("nij,ij->n", heat, inside) / np.maximum(total, 1e-12))""",
    ],
    "cover": [
        """def cover(images, box):
    mask = np.ones(images.shape[1:3] + (1,), images.dtype)
    mask[box[0] : box[1], box[2] : box[3]] = 0
    return images * mask""",
        """def cover(images, box):
    result = []
    for image in images:
        image = image.copy()
        image[box[0] : box[1], box[2] : box[3], :] = (200, 180, 190)
        result.append(image)
    return np.stack(result)""",
    ],
}
