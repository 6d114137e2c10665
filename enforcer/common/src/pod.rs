//! Leave to copy the types to and from the kernel byte by byte.

#[cfg(feature = "user")]
macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: `repr(C)`, made of integers only, without padding (asserted in `maps`).
            #[allow(unsafe_code)]
            unsafe impl aya::Pod for $type {}
        )+
    };
}

#[cfg(feature = "user")]
pod!(
    crate::Address,
    crate::config::Config,
    crate::conntrack::Flow,
    crate::conntrack::FlowKey,
    crate::conntrack::Link,
    crate::conntrack::LinkKey,
    crate::denied::DeniedKey,
    crate::endpoint::Brief,
    crate::endpoint::Endpoint,
    crate::fragment::Fragment,
    crate::fragment::FragmentKey,
    crate::identity::CidrV4Key,
    crate::identity::CidrV6Key,
    crate::identity::IdentityKey,
    crate::policy::PolicyKey,
    crate::policy::PolicyValue,
    crate::reason::Counter,
    crate::service::ServiceKey,
);
