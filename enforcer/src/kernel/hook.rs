//! Places where a program runs: one direction of one link.

use std::fmt;
use std::str::FromStr;

/// A TC hook of a link, named as the file that pins its link: `7-ingress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hook {
    /// The interface index.
    pub link: u32,
    /// Which of the link's hooks.
    pub direction: Direction,
}

/// A direction as the host sees it: what a pod sends arrives on its veth's ingress hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the host.
    Ingress,
    /// Out of the host.
    Egress,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.link, self.direction)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl FromStr for Hook {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let (link, direction) = name.split_once('-').ok_or(())?;
        let direction = match direction {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            _ => return Err(()),
        };
        Ok(Self { link: link.parse().map_err(|_| ())?, direction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let hook = Hook { link: 7, direction: Direction::Egress };
        assert_eq!(hook.to_string(), "7-egress");
        assert_eq!("7-egress".parse(), Ok(hook));
        for wrong in ["", "7", "7-sideways", "x-ingress", "-1-ingress"] {
            assert_eq!(wrong.parse::<Hook>(), Err(()), "{wrong}");
        }
    }
}
