"""What others reported on the files of `papers.py`, and what was measured there before.

HR@10 and NDCG@10 under leave-one-out with all items ranked, as the project's notes of November 2026
hold them: "reported" rows were read in the papers, "measured" rows were made by the project itself
before the candidates had their present constants; they stand beside the new rows, not in their
place. Papers differ in preprocessing, splits and effort of tuning, so a third decimal means
nothing. A proxy split is not the papers'.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the comparison: (HR@10, NDCG@10) by dataset, where there is one."""

    name: str
    source: str
    values: dict[str, tuple[float, float]]
    note: str = ""


MEASURED = "measured in November 2026"
REPORTED = "reported"
ROWS = (
    Row(
        "popularity",
        MEASURED,
        {
            "beauty": (0.0120, 0.0056),
            "toys": (0.0090, 0.0049),
            "sports": (0.0091, 0.0052),
            "ml-1m": (0.042, 0.020),
        },
        "ML-1M: proxy split",
    ),
    Row(
        "item-kNN with recency",
        MEASURED,
        {"beauty": (0.0702, 0.0418), "toys": (0.0847, 0.0528), "sports": (0.0427, 0.0264)},
    ),
    Row(
        "EASE with recency",
        MEASURED,
        {"beauty": (0.0749, 0.0432), "toys": (0.0842, 0.0498), "ml-1m": (0.112, 0.055)},
        "ML-1M: proxy split, no recency",
    ),
    Row(
        "sequential rules",
        MEASURED,
        {
            "beauty": (0.0821, 0.0525),
            "toys": (0.0937, 0.0604),
            "sports": (0.0455, 0.0288),
            "ml-1m": (0.299, 0.170),
        },
        "window of 10; ML-1M: proxy split",
    ),
    Row(
        "SASRec as first reported",
        REPORTED,
        {"beauty": (0.0605, 0.0318), "sports": (0.0350, 0.0192), "ml-1m": (0.2500, 0.1341)},
    ),
    Row(
        "SASRec with sampled softmax",
        REPORTED,
        {
            "beauty": (0.0921, 0.0531),
            "toys": (0.0970, 0.0580),
            "sports": (0.0569, 0.0314),
            "ml-1m": (0.3159, 0.1857),
        },
        "ML-1M: 3,000 negatives",
    ),
    Row(
        "eSASRec",
        f"{REPORTED}, arXiv:2508.06450",
        {
            "beauty": (0.0928, 0.0523),
            "toys": (0.0939, 0.0538),
            "sports": (0.0560, 0.0323),
            "ml-1m": (0.3133, 0.1772),
        },
        "ML-1M: another split",
    ),
)
