//! Mistakes that tests make on purpose, to see that they are found. Outside tests there are none.

/// Which of the mistakes `B` is made, if any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planted<B> {
    #[cfg(test)]
    pub bug: Option<B>,
    #[cfg(not(test))]
    none: std::marker::PhantomData<B>,
}

impl<B> Default for Planted<B> {
    fn default() -> Self {
        Self {
            #[cfg(test)]
            bug: None,
            #[cfg(not(test))]
            none: std::marker::PhantomData,
        }
    }
}

#[cfg_attr(not(test), expect(clippy::unused_self, reason = "the same call as in tests"))]
impl<B: PartialEq> Planted<B> {
    /// Whether this mistake is to be made.
    #[cfg(test)]
    pub fn has(self, bug: B) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this mistake is to be made: never.
    #[cfg(not(test))]
    pub fn has(self, _: B) -> bool {
        false
    }
}
