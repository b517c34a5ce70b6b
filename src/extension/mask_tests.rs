//! Masks: tables of numbers, and every single slip tried one by one.

use super::*;
use proptest::prelude::*;

fn masks(texts: &str) -> Vec<Mask> {
    texts.split(' ').map(|text| text.parse().unwrap()).collect()
}

fn verdict(mask: &str, number: &str) -> Judgement {
    judge(&masks(mask), &Name::read(number.as_bytes()).unwrap())
}

#[test]
fn numbers_match_are_near_or_far() {
    for (mask, matches, near, far) in [
        (
            "7XXX",
            "7000 7001 7999",
            "701 700 70011 79999 700*",
            "140 8001 100 70 700111 0701 17001 7 71# *43 +7001 800 80011 1000000",
        ),
        (
            "[2-5]XXX",
            "2000 5999",
            "6000 1999 0311 200 20000 62000",
            "60 600000",
        ),
        ("_9.", "91 9123456789 9*#+", "9", "8123 19 0"),
        (
            "XX7",
            "007 127",
            "17 1237 0127 12*7",
            "128 127# 7 1270 271 7771237",
        ),
        ("112", "112", "", "12 11 1112 1123 1120 122 121 212 911"),
        (
            "70XX",
            "7012",
            "701 70123 70129 701#",
            "7912 79012 0712 07012 170 7102",
        ),
        (
            "[0-4][5-9]",
            "05 49",
            "50 94 00 55 0 9 8 153 105",
            "500 111111",
        ),
        ("[0-4][0-4]X[5-9]", "0005", "0050", "5500"),
        ("ZX", "10 99", "00 1 01 100", "5555"),
        ("N11", "211 911", "111 011 11 1211", "212 2112 21 12"),
        ("NX11", "2211", "0211 211 21211 2*11", "2212 22 22112"),
        (
            "+34X.",
            "+3491 +34911234567",
            "+340 +34*9",
            "34911 +35911 +34 +3",
        ),
        (
            "_[2-5]X9.",
            "3191 4291234 3791",
            "319 1191 317911",
            "3181 39",
        ),
        ("*4X#", "*43#", "*4# *43*# *4*#", "*43 43# *430 *53#"),
        ("7XXX 8XX", "7001 800", "701 8001 80", "7 70 8 9001"),
    ] {
        let expect = |numbers: &str, expected| {
            for number in numbers.split_whitespace() {
                assert_eq!(verdict(mask, number), expected, "{number} against {mask}");
            }
        };
        expect(matches, Judgement::Match);
        expect(near, Judgement::Near);
        expect(far, Judgement::Far);
    }
}

#[test]
fn broken_masks_are_told() {
    for (text, expected) in [
        ("", MaskError::Empty),
        ("_", MaskError::Empty),
        ("7XX!", MaskError::Character('!')),
        ("7é", MaskError::Character('é')),
        ("__7", MaskError::Character('_')),
        ("7 XX", MaskError::Character(' ')),
        ("9.1", MaskError::Open),
        ("9..", MaskError::Open),
        ("[2-5", MaskError::Class),
        ("[]", MaskError::Class),
        ("[5-2]", MaskError::Class),
        ("[2-]", MaskError::Class),
        ("[-2]", MaskError::Class),
        ("[X]", MaskError::Class),
        ("[é]", MaskError::Class),
        ("]", MaskError::Character(']')),
        (&"X".repeat(NAME_MAX + 1), MaskError::Long),
    ] {
        assert_eq!(text.parse::<Mask>(), Err(expected), "{text}");
    }
    for text in ["7xxx", "_Zn.", "[0-9]", "[13-57]", ".", "#*+"] {
        assert_eq!(text.parse::<Mask>().unwrap().to_string(), text);
    }
}

/// The definition: every single slip, tried one by one.
fn is_near_by_trying(mask: &Mask, digits: &[Place]) -> bool {
    let fits = |digits: &[Place]| mask.matches(digits);
    let variable = |index: usize| index < mask.places.len() && !mask.is_fixed(index);
    let goes_on = |index: usize| mask.open && index >= mask.places.len();
    let any_digit = |index: usize| {
        let mut tried = digits.to_vec();
        (0..DIALLED.len()).any(|bit| {
            tried[index] = 1 << bit;
            fits(&tried)
        })
    };
    let wrong = (0..digits.len()).any(|index| variable(index) && any_digit(index));
    let swapped = (1..digits.len()).any(|index| {
        let mut tried = digits.to_vec();
        tried.swap(index - 1, index);
        variable(index - 1) && variable(index) && fits(&tried)
    });
    let extra = (0..digits.len()).any(|index| {
        let mut tried = digits.to_vec();
        tried.remove(index);
        let beside = (index > 0 && (variable(index - 1) || goes_on(index - 1)))
            || variable(index)
            || goes_on(index);
        beside && fits(&tried)
    });
    let missing = (0..=digits.len()).any(|index| {
        (0..DIALLED.len()).any(|bit| {
            let mut tried = digits.to_vec();
            tried.insert(index, 1 << bit);
            variable(index) && tried.len() == mask.places.len() && fits(&tried)
        })
    });
    wrong || swapped || extra || missing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_trying_every_slip(
        mask in "[12XZN]{0,1}(\\[[1-2]{1,2}\\]|[123XN]){0,4}[1X.]",
        number in "[0-3]{1,7}",
    ) {
        let mask: Mask = mask.parse().unwrap();
        let digits: Vec<Place> = number.bytes().filter_map(|byte| dialled(byte.into())).collect();
        if !mask.matches(&digits) {
            let expected = is_near_by_trying(&mask, &digits);
            prop_assert_eq!(mask.is_near(&digits), expected, "{} {}", number, mask);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,30}|[0-9XZN.\\[\\]_-]{0,80}") {
        if let Ok(mask) = text.parse::<Mask>() {
            prop_assert_eq!(mask.to_string().parse::<Mask>(), Ok(mask));
        }
    }
}
