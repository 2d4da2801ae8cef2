//! The declaration of an operation.

/// Declares an operation: its name in a scenario, and its fields as [`fields!`](crate::json::fields!) has them.
///
/// The kind of each field is an [`Argument`](super::Argument). So the field tells what it defines, what it uses and what
/// it weighs. A rule between two fields is a function of the fields and of the operation, and its name stands behind
/// `where`. The function notes what is wrong, and answers `None`. If only some kernels have the operation,
/// `since [RELEASE]` behind its name says which.
///
/// ```ignore
/// operation! {
///     /// Unmaps pages.
///     "munmap" Munmap {
///         /// The first page.
///         required "at" at: Place,
///         /// How many pages; all up to the end of the mapping if not given.
///         optional "pages" pages: RangePages,
///     }
///     where needs_pages_at_an_address
/// }
/// ```
macro_rules! operation {
    (
        $(#[doc = $about:literal])+
        $tag:literal $operation:ident $(since [$since:expr])? {
            $($(#[doc = $doc:literal])+ $how:ident $(($default:expr))? $key:literal $member:ident: $kind:ty),* $(,)?
        }
        $(where $rule:path)?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $operation {
            $($(#[doc = $doc])+ $member: $crate::json::fields!(@type $how <$kind as $crate::json::Kind>::Value),)*
        }

        impl $crate::operation::Declared for $operation {
            const TAG: &'static str = $tag;

            const SINCE: Option<sim_mm::Release> = $crate::operation::operation!(@or $($since)?);

            const FACTS: $crate::json::ObjectFacts = $crate::json::ObjectFacts {
                about: concat!($($about, "\n"),+),
                fields: &[$($crate::json::FieldFacts {
                    key: $key,
                    about: concat!($($doc, "\n"),+),
                    required: $crate::json::fields!(@required $how),
                    schema: <$kind as $crate::json::Kind>::schema,
                }),*],
            };

            fn read(node: &$crate::json::Node<'_>) -> Option<$operation> {
                let _fields = node.object(&[$($key),*])?;
                // All fields are read before an error ends this, so that each of them says what is wrong with it.
                $(let $member = $crate::json::fields!(@read $how $(($default))? _fields, $key, $kind);)*
                let operation = $operation { $($member: $member?),* };
                $($rule(&_fields, &operation)?;)?
                Some(operation)
            }
        }

        impl $crate::operation::Members for $operation {
            fn tag(&self) -> &'static str {
                $tag
            }

            fn since(&self) -> Option<sim_mm::Release> {
                <$operation as $crate::operation::Declared>::SINCE
            }

            fn mentions(&self) -> Vec<(&'static str, $crate::operation::Mention<'_>)> {
                let mentions: [(&'static str, Option<$crate::operation::Mention<'_>>); _] = [$(($key,
                    $crate::operation::operation!(@mention $how &self.$member, $kind))),*];
                mentions.into_iter().filter_map(|(key, mention)| Some((key, mention?))).collect()
            }
        }
    };
    (@or $value:expr) => { Some($value) };
    (@or) => { None };
    (@mention required $value:expr, $kind:ty) => { <$kind as $crate::operation::Argument>::mention($value) };
    (@mention or $value:expr, $kind:ty) => { <$kind as $crate::operation::Argument>::mention($value) };
    (@mention optional $value:expr, $kind:ty) => {
        $value.as_ref().and_then(<$kind as $crate::operation::Argument>::mention)
    };
}

pub(crate) use operation;
