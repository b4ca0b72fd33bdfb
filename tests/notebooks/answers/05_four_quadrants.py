"""Answers to the exercises of lesson 5: wrong ones that must lose points, right ones that must not."""

WRONG = {
    "quadrant_of": [
        # the largest class decides
        """def quadrant_of(counts, similarity):
    large = max(counts.values()) >= 1000
    if similarity >= 0.5:
        return (2, "partial") if large else (4, "frozen")
    return (1, "full") if large else (3, "partial")""",
        # all pictures together
        """def quadrant_of(counts, similarity):
    large = sum(counts.values()) >= 1000
    if similarity >= 0.5:
        return (2, "partial") if large else (4, "frozen")
    return (1, "full") if large else (3, "partial")""",
        # rows swapped
        """def quadrant_of(counts, similarity):
    large = min(counts.values()) >= 1000
    if similarity < 0.5:
        return (2, "partial") if large else (4, "frozen")
    return (1, "full") if large else (3, "partial")""",
        # the border belongs to small
        """def quadrant_of(counts, similarity):
    large = min(counts.values()) > 1000
    if similarity >= 0.5:
        return (2, "partial") if large else (4, "frozen")
    return (1, "full") if large else (3, "partial")""",
        # the strategy alone
        """def quadrant_of(counts, similarity):
    return "frozen" if similarity >= 0.5 else "full" """,
    ],
    "problems": [
        'my_quadrants = {"birds": "b", "welds": "a", "dishes": "b", "grains": "c"}',
        'my_quadrants = {"birds": "d", "welds": "c", "dishes": "b", "grains": "a"}',
        'my_quadrants = {"birds": "d", "welds": "a", "dishes": "b"}',
        'my_quadrants = {"birds": 4, "welds": "a", "dishes": "b", "grains": "c"}',
        "my_quadrants = {}",
    ],
    "judge_similarity": [
        # the value alone
        """def judge_similarity(advice):
    return "similar" if advice.similarity > 0.5 else "dissimilar" """,
        # one end of the interval for both
        """def judge_similarity(advice):
    if advice.interval[0] > 0.5:
        return "similar"
    return "dissimilar" if advice.interval[0] < 0.5 else "borderline" """,
        # borderline only where the value is close
        """def judge_similarity(advice):
    if abs(advice.similarity - 0.5) < 0.05:
        return "borderline"
    return "similar" if advice.similarity > 0.5 else "dissimilar" """,
        # ends swapped
        """def judge_similarity(advice):
    high, low = advice.interval
    return "similar" if low > 0.5 else "dissimilar" if high < 0.5 else "borderline" """,
    ],
    "prediction": [
        'my_winner, my_lead = "transfer", 2',
        'my_winner, my_lead = "frozen", -3',
        'my_winner, my_lead = "frozen", 250',
    ],
    "seeds_needed": [
        # the normal distribution in place of Student's
        """def seeds_needed(differences, most=1000):
    mean, spread = abs(np.mean(differences)), np.std(differences, ddof=1)
    for n in range(2, most + 1):
        if 1.96 * spread / n**0.5 < mean:
            return n""",
        # a loss is never told
        """def seeds_needed(differences, most=1000):
    from scipy import stats
    for n in range(2, most + 1):
        if stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5 < np.mean(differences):
            return n""",
        # the spread is not that of a sample
        """def seeds_needed(differences, most=1000):
    from scipy import stats
    for n in range(2, most + 1):
        if stats.t.ppf(0.975, n - 1) * np.std(differences) / n**0.5 < abs(np.mean(differences)):
            return n""",
        # t of the seeds that are there
        """def seeds_needed(differences, most=1000):
    from scipy import stats
    t = stats.t.ppf(0.975, len(differences) - 1)
    for n in range(2, most + 1):
        if t * np.std(differences, ddof=1) / n**0.5 < abs(np.mean(differences)):
            return n""",
        # never fewer than there are
        """def seeds_needed(differences, most=1000):
    from scipy import stats
    for n in range(len(differences), most + 1):
        if stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5 < abs(np.mean(differences)):
            return n""",
        # one too few at the end
        """def seeds_needed(differences, most=1000):
    from scipy import stats
    for n in range(2, most):
        if stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5 < abs(np.mean(differences)):
            return n""",
        # labkit's number, for a chance of four in five
        """def seeds_needed(differences, most=1000):
    from labkit.quadrants.statistics import runs_needed
    return runs_needed(differences)""",
    ],
    "rule_holds": [
        # the highest mean confirms
        """def rule_holds(accuracies, strategy):
    best = max(accuracies, key=lambda name: np.mean(accuracies[name]))
    return "confirmed" if best == strategy else "refuted" """,
        # one rival that is beaten is enough
        """def rule_holds(accuracies, strategy):
    found = [paired_verdict(accuracies[strategy], v)["verdict"] for s, v in accuracies.items() if s != strategy]
    if "better" in found:
        return "confirmed"
    return "refuted" if "worse" in found else "open" """,
        # never open
        """def rule_holds(accuracies, strategy):
    found = [paired_verdict(accuracies[strategy], v)["verdict"] for s, v in accuracies.items() if s != strategy]
    return "refuted" if "worse" in found else "confirmed" """,
        # compares with full only
        """def rule_holds(accuracies, strategy):
    found = paired_verdict(accuracies[strategy], accuracies["full"])["verdict"]
    return {"better": "confirmed", "worse": "refuted"}.get(found, "open")""",
    ],
    "my_strategy": [
        'my_quadrant, my_strategy = 4, "frozen"',
        'my_quadrant, my_strategy = 3, "scratch"',
        'my_quadrant, my_strategy = 1, "full"',
    ],
}

RIGHT = {
    "quadrant_of": [
        """def quadrant_of(counts, similarity):
    table = {(True, False): (1, "full"), (True, True): (2, "partial"),
             (False, False): (3, "partial"), (False, True): (4, "frozen")}
    return table[all(n >= 1000 for n in counts.values()), similarity >= 0.5]""",
        """def quadrant_of(counts, similarity):
    size = "large" if sorted(counts.values())[0] >= LARGE else "small"
    return list(QUADRANTS[size, bool(similarity >= 0.5)][:2])""",
    ],
    "problems": [
        'my_quadrants = {"grains": "C", "dishes": "B", "welds": "A", "birds": "D"}',
        'my_quadrants = dict(zip(("birds", "welds", "dishes", "grains"), "dabc"))',
    ],
    "judge_similarity": [
        """def judge_similarity(advice):
    inside = min(advice.interval) <= 0.5 <= max(advice.interval)
    return "borderline" if inside else ("similar" if advice.similarity > 0.5 else "dissimilar")""",
        """def judge_similarity(advice):
    sides = {end > 0.5 for end in advice.interval}
    return {(True,): "similar", (False,): "dissimilar"}.get(tuple(sides), "borderline")""",
    ],
    "prediction": [
        'my_winner, my_lead = "full", 0',
        'my_winner = "scratch"\nmy_lead = 12.5',
    ],
    "seeds_needed": [
        """def seeds_needed(differences, most=1000):
    from scipy import stats
    d = np.asarray(differences, float)
    n = np.arange(2, most + 1)
    enough = stats.t.ppf(0.975, n - 1) * d.std(ddof=1) < abs(d.mean()) * np.sqrt(n)
    return int(n[enough][0]) if enough.any() else None""",
        """def seeds_needed(differences, most=1000):
    import statistics
    from scipy import stats
    mean, s = statistics.fmean(differences), statistics.stdev(differences)
    n = 2
    while n <= most:
        low, high = stats.t.interval(0.95, n - 1, loc=mean, scale=max(s, 1e-300) / n ** 0.5)
        if low > 0 or high < 0:
            return n
        n += 1""",
    ],
    "rule_holds": [
        """def rule_holds(accuracies, strategy):
    others = {s: v for s, v in accuracies.items() if s != strategy}
    better = sum(paired_verdict(accuracies[strategy], v)["verdict"] == "better" for v in others.values())
    if any(paired_verdict(v, accuracies[strategy])["verdict"] == "better" for v in others.values()):
        return "refuted"
    return "confirmed" if better == len(others) else "open" """,
        """def rule_holds(accuracies, strategy):
    answer = "confirmed"
    for name in accuracies:
        if name == strategy:
            continue
        found = paired_difference("a", "b", accuracies[strategy], accuracies[name])
        if found.high < 0:
            return "refuted"
        if not found.low > 0:
            answer = "open"
    return answer""",
    ],
    "my_strategy": [
        'my_quadrant, my_strategy = 3, "full"',
        'my_quadrant = unseen_advice.quadrant\nmy_strategy = "fro" + "zen"',
    ],
}
