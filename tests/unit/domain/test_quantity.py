"""Quantities come out as the API server prints them. The examples were printed by k8s.io/apimachinery itself."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.domain.quantity import canonical, value_of

FACTORS: dict[str, Fraction | int] = {
    "m": Fraction(1, 1000), "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
CAP = 2**63 - 1


@st.composite
def quantities(draw: st.DrawFn) -> str:
    whole = draw(st.integers(0, 10**12))
    fraction = draw(st.just("") | st.from_regex(r"\.[0-9]{1,6}", fullmatch=True))
    return f"{whole}{fraction}{draw(st.sampled_from(sorted(FACTORS)))}"


def exact(text: str) -> Fraction:
    """An independent reading of the notation."""
    number, suffix = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return min(Fraction(number) * FACTORS[suffix], Fraction(CAP))


@pytest.mark.parametrize(
    ("given_", "printed"),
    [
        ("0", "0"), ("0Mi", "0"), ("0.0", "0"),
        ("0.5", "500m"), ("1.5", "1500m"), ("1000m", "1"), ("1500m", "1500m"), ("2.0005", "2001m"), ("0.0001", "1m"),
        ("100m", "100m"), ("2000", "2k"), ("1024", "1024"), ("1500000", "1500k"), ("1000k", "1M"), ("12.500", "12500m"),
        ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("512Mi", "512Mi"), ("0.5Ki", "512"), ("0.9765625Ki", "1k"),
        ("0.5Gi", "512Mi"), ("1024Ti", "1Pi"), ("1000T", "1P"), ("1.1Gi", "1181116006400m"),
        ("512M", "512M"), ("1Ki", "1Ki"), ("1024.5Ki", "1049088"), ("1025Ki", "1025Ki"),
    ],
)  # fmt: skip
def test_is_printed_as_kubernetes_prints_it(given_: str, printed: str) -> None:
    assert canonical(given_) == printed


def test_whole_number_is_a_quantity() -> None:
    assert canonical(2) == "2"
    assert canonical(536870912) == "536870912"


@given(quantities())
def test_canonical_form_is_a_fixed_point(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once


@given(quantities())
def test_canonical_form_keeps_the_value_and_rounds_up_below_a_thousandth(text: str) -> None:
    added = exact(canonical(text)) - exact(text)
    assert 0 <= added < Fraction(1, 1000)
    if (exact(text) * 1000).denominator == 1:
        assert added == 0


@given(quantities())
def test_canonical_form_has_no_fraction_and_no_zero_in_front(text: str) -> None:
    assert re.fullmatch(r"0|[1-9][0-9]*(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", canonical(text))


@given(quantities(), quantities())
def test_values_compare_as_the_amounts_do(one: str, other: str) -> None:
    assert (value_of(one) < value_of(other)) == (exact(one) < exact(other))


def test_amount_beyond_64_bits_is_capped() -> None:
    assert canonical("99999999999999999999999999Ti") == str(CAP)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "m", "-1", "+1", "1e3", "1 Mi", "1MiB", "Mi", "1.", ".5", "1,5", "1n", "1u", "lots", "0x10", "1\n",
        "\u0661", "9" * 65, True, None, 1.5e300,
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="is no quantity such as 500m or 512Mi"):
        canonical(text)  # type: ignore[arg-type]


def test_refusal_quotes_no_more_than_a_line() -> None:
    with pytest.raises(ValueError, match="quantity") as caught:
        canonical("x" * 100_000)
    assert len(str(caught.value)) < 200


@given(st.decimals(min_value="0.001", max_value=10**9, places=3))
def test_thousandths_are_exact(amount: Decimal) -> None:
    assert exact(canonical(str(amount))) == Fraction(amount)
