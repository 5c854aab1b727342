"""Which buckets may pay, and in which order."""

from ocs.domain.wallet import MAIN_BUCKET, MAIN_ONLY, Bucket, BucketKind, Payer, Wallet


def minutes(name: str, **fields: object) -> Bucket:
    return Bucket(
        bucket=name,
        kind=BucketKind.UNITS,
        usage_types=("voice",),
        **fields,  # type: ignore[arg-type]
    )


def order(*buckets: Bucket, usage_type: str = "voice", number: str = "49301") -> list[str]:
    return [payer.bucket for payer in Wallet(1, buckets).payers(usage_type, number)]


def test_higher_priority_pays_first_then_what_ends_sooner_then_by_name() -> None:
    assert order(
        MAIN_BUCKET,
        minutes("b", priority=1),
        minutes("a", priority=1),
        minutes("soon", priority=1, valid_until_ms=5),
        minutes("first", priority=2),
    ) == ["first", "soon", "a", "b", "main"]


def test_a_bucket_pays_only_its_usage_types() -> None:
    data = Bucket(bucket="data", kind=BucketKind.UNITS, usage_types=("data",))
    assert order(MAIN_BUCKET, data) == ["main"]
    assert order(MAIN_BUCKET, data, usage_type="data") == ["data", "main"]


def test_units_of_no_usage_type_pay_nothing() -> None:
    assert order(MAIN_BUCKET, Bucket(bucket="units", kind=BucketKind.UNITS)) == ["main"]


def test_a_bucket_pays_only_its_zones() -> None:
    germany = minutes("germany", zones=("49", "43"), priority=1)
    assert order(MAIN_BUCKET, germany) == ["germany", "main"]
    assert order(MAIN_BUCKET, germany, number="33123") == ["main"]


def test_a_payer_carries_how_the_bucket_pays() -> None:
    bucket = minutes("m", increment_units=60, factor=2)
    assert Wallet(1, (bucket, MAIN_BUCKET)).payers("voice", "") == (
        Payer("m", 60, 2),
        Payer("main", 0, 1),
    )


def test_a_plain_wallet_is_main_alone() -> None:
    assert Wallet(3, (MAIN_BUCKET,)).is_plain
    assert not Wallet(3, (MAIN_BUCKET, minutes("m"))).is_plain
    assert Wallet(3, (MAIN_BUCKET,)).payers("voice", "49") == MAIN_ONLY


def test_nothing_pays_behind_a_blocker() -> None:
    capped = Bucket(bucket="capped", priority=5, zones=("49",), blocker=True)
    bonus = Bucket(bucket="bonus", priority=9)
    assert order(capped, bonus, MAIN_BUCKET, number="4930") == ["bonus", "capped"]
    assert order(capped, bonus, MAIN_BUCKET, number="4430") == ["bonus", "main"]
