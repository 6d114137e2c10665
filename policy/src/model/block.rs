//! `ipBlock`: a block of addresses, less some blocks inside it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// A CIDR and the exceptions within it.
///
/// Normalised: host bits are cleared and exceptions are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    cidr: IpNet,
    except: Vec<IpNet>,
}

/// Why an `ipBlock` can't be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BlockError {
    /// An exception of the other address family.
    #[error("except {except} is of another address family than {cidr}")]
    Family {
        /// The block.
        cidr: IpNet,
        /// The exception.
        except: IpNet,
    },
    /// An exception that isn't strictly inside its block.
    #[error("except {except} must be strictly inside {cidr}")]
    Outside {
        /// The block.
        cidr: IpNet,
        /// The exception.
        except: IpNet,
    },
}

impl IpBlock {
    /// Checks the exceptions as the API server does: strictly inside the block.
    pub fn new(cidr: IpNet, except: impl IntoIterator<Item = IpNet>) -> Result<Self, BlockError> {
        let cidr = cidr.trunc();
        let mut exceptions = Vec::new();
        for except in except {
            let except = except.trunc();
            if cidr.addr().is_ipv4() != except.addr().is_ipv4() {
                return Err(BlockError::Family { cidr, except });
            }
            if !cidr.contains(&except.network()) || except.prefix_len() <= cidr.prefix_len() {
                return Err(BlockError::Outside { cidr, except });
            }
            exceptions.push(except);
        }
        exceptions.sort();
        exceptions.dedup();
        Ok(Self { cidr, except: exceptions })
    }

    /// The block itself, host bits cleared.
    pub fn cidr(&self) -> IpNet {
        self.cidr
    }

    /// The exceptions, sorted.
    pub fn except(&self) -> &[IpNet] {
        &self.except
    }

    /// Whether an address is in the block and in none of its exceptions.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address) && self.exception(address).is_none()
    }

    /// The exception that an address falls into.
    pub fn exception(&self, address: IpAddr) -> Option<IpNet> {
        self.except.iter().copied().find(|except| except.contains(&address))
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cidr)?;
        for (index, except) in self.except.iter().enumerate() {
            write!(f, "{}{except}", if index == 0 { " except " } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> Result<IpBlock, BlockError> {
        IpBlock::new(cidr.parse().unwrap(), except.iter().map(|e| e.parse().unwrap()))
    }

    #[test]
    fn contains() {
        let block = block("10.0.0.0/8", &["10.1.0.0/16"]).unwrap();
        assert!(block.contains("10.2.0.1".parse().unwrap()));
        assert!(!block.contains("10.1.0.1".parse().unwrap()));
        assert!(!block.contains("11.0.0.1".parse().unwrap()));
        assert!(!block.contains("::1".parse().unwrap()));
    }

    #[test]
    fn exceptions_are_strictly_inside() {
        assert!(block("10.0.0.0/8", &["10.0.0.0/8"]).is_err());
        assert!(block("10.0.0.0/8", &["11.0.0.0/16"]).is_err());
        assert!(block("10.0.0.0/16", &["10.0.0.0/8"]).is_err());
        assert!(block("10.0.0.0/8", &["fd00::/64"]).is_err());
        assert!(block("::/0", &["fd00::/8", "fe80::/10"]).is_ok());
    }
}
