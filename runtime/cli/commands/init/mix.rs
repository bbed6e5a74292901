//! The shares of texts: by a strategy over their classes, or by hand.
use super::data::Class;
use std::fmt;
use std::str::FromStr;

/// How texts are mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Classes in equal parts.
    Balanced,
    /// Mostly Japanese.
    Japanese,
    /// Mostly programs.
    Code,
    /// Parts by name.
    ByHand(Vec<(String, u32)>),
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "balanced" => return Ok(Self::Balanced),
            "japanese" => return Ok(Self::Japanese),
            "code" => return Ok(Self::Code),
            _ => {}
        }
        let part = |part: &str| {
            let (name, number) = part.split_once('=')?;
            Some((name.trim().to_owned(), number.trim().parse().ok()?))
        };
        let parts: Option<Vec<(String, u32)>> = text.split(',').map(part).collect();
        match parts {
            Some(parts) if parts.iter().any(|(_, number)| *number > 0) => Ok(Self::ByHand(parts)),
            Some(_) => Err("all shares are 0, so nothing would be left".into()),
            None => Err("expected `balanced`, `japanese`, `code`, or whole numbers: `wiki=2,code=1`".into()),
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::Japanese => f.write_str("japanese"),
            Self::Code => f.write_str("code"),
            Self::ByHand(parts) => {
                let parts: Vec<String> =
                    parts.iter().map(|(name, number)| format!("{name}={number}")).collect();
                f.write_str(&parts.join(","))
            }
        }
    }
}

impl Mix {
    /// The part of a class, before classes without texts give theirs to the others.
    fn part(&self, class: Class) -> f64 {
        match (self, class) {
            (Self::Japanese, Class::Japanese) | (Self::Code, Class::Code) => 0.7,
            (Self::Japanese | Self::Code, _) => 0.15,
            (Self::Balanced | Self::ByHand(_), _) => 1.0 / 3.0,
        }
    }

    /// The share of each text, all together 1; by hand a text that is not named has none. The error names what there is not.
    pub(crate) fn shares(&self, texts: &[(&str, Class)]) -> Result<Vec<f64>, String> {
        let parts: Vec<f64> = match self {
            Self::ByHand(parts) => {
                let there = |name: &str| texts.iter().any(|(text, _)| *text == name);
                if let Some((name, _)) = parts.iter().find(|(name, _)| !there(name)) {
                    let names: Vec<&str> = texts.iter().map(|(name, _)| *name).collect();
                    return Err(format!("there is no text `{name}`: {}", names.join(", ")));
                }
                let of = |(text, _): &(&str, Class)| {
                    parts.iter().filter(|(name, _)| name == text).map(|(_, number)| f64::from(*number)).sum()
                };
                texts.iter().map(of).collect()
            }
            _ => texts
                .iter()
                .map(|(_, class)| {
                    let beside = texts.iter().filter(|(_, other)| other == class).count().max(1);
                    self.part(*class) / beside as f64
                })
                .collect(),
        };
        let whole: f64 = parts.iter().sum();
        Ok(parts.into_iter().map(|part| if whole > 0.0 { part / whole } else { 0.0 }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(mix: &str, texts: &[(&str, Class)]) -> Vec<f64> {
        let shares = mix.parse::<Mix>().unwrap().shares(texts).unwrap();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
        shares.into_iter().map(|share| (share * 1e4).round() / 1e4).collect()
    }

    const ALL: &[(&str, Class)] =
        &[("wiki", Class::Japanese), ("web", Class::Japanese), ("src", Class::Code), ("en", Class::General)];

    #[test]
    fn strategies_part_by_class_and_then_evenly_within_it() {
        assert_eq!(shares("balanced", ALL), [0.1667, 0.1667, 0.3333, 0.3333]);
        assert_eq!(shares("japanese", ALL), [0.35, 0.35, 0.15, 0.15]);
        assert_eq!(shares("code", ALL), [0.075, 0.075, 0.7, 0.15]);
        // A class without texts leaves its part to the others.
        assert_eq!(shares("japanese", &ALL[..3]), [0.4118, 0.4118, 0.1765]);
        assert_eq!(shares("code", &ALL[3..]), [1.0]);
    }

    #[test]
    fn by_hand_numbers_are_parts() {
        assert_eq!(shares("wiki=2,src=1,en=1", ALL), [0.5, 0.0, 0.25, 0.25]);
        let error = "wiki=1,no=1".parse::<Mix>().unwrap().shares(ALL).unwrap_err();
        assert_eq!(error, "there is no text `no`: wiki, web, src, en");
        for wrong in ["", "wiki", "wiki=x", "wiki=-1", "wiki=0"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
        for good in ["balanced", "japanese", "code", "a=1,b=3"] {
            assert_eq!(good.parse::<Mix>().unwrap().to_string(), good);
        }
    }
}
