//! Objects that are declared once. The decoder, the schema and the documentation of an object follow from the list of its
//! fields.

use serde_json::{Map, Value, json};

/// What is known of a field.
pub(crate) struct FieldFacts {
    /// Its key.
    pub(crate) key: &'static str,
    /// What it is, in plain words.
    pub(crate) about: &'static str,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// The schema of its value.
    pub(crate) schema: fn() -> Value,
}

/// What is known of an object, which has some fields and no others.
pub(crate) struct ObjectFacts {
    /// What it is, in plain words.
    pub(crate) about: &'static str,
    /// Its fields, in the order in which the documentation has them.
    pub(crate) fields: &'static [FieldFacts],
}

impl FieldFacts {
    /// What it is, on one line.
    pub(crate) fn about(&self) -> String {
        sentence(self.about)
    }
}

impl ObjectFacts {
    /// What it is, on one line.
    pub(crate) fn about(&self) -> String {
        sentence(self.about)
    }

    /// The schema of the object.
    pub(crate) fn schema(&self) -> Value {
        let property = |field: &FieldFacts| {
            let mut schema = (field.schema)();
            if let Some(object) = schema.as_object_mut() {
                object.insert("description".to_owned(), field.about().into());
            }
            (field.key.to_owned(), schema)
        };
        let properties: Map<String, Value> = self.fields.iter().map(property).collect();
        let required: Vec<&str> =
            self.fields.iter().filter(|field| field.required).map(|field| field.key).collect();
        json!({
            "description": self.about(), "type": "object", "properties": properties, "required": required,
            "additionalProperties": false,
        })
    }
}

/// Joins the lines of a doc comment to one line.
fn sentence(about: &str) -> String {
    about.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// Declares the fields of an object. Each has a key, a member that holds it, and a [`Kind`](super::Kind).
///
/// The struct holds what could be read. If a required field is missing, or if a field has errors, its member is `None`.
/// A field is `required`, or `optional`, or it has a default, `or (EXPRESSION)`. The member of an optional field that is not
/// there is `Some(None)`.
///
/// ```ignore
/// fields! {
///     /// A process that exists when the schedules start.
///     struct ProcessFields {
///         /// Its name.
///         required "name" name: Name,
///         /// What it does before the schedules start.
///         or (Vec::new()) "setup" setup: List<Statement>,
///     }
/// }
/// ```
macro_rules! fields {
    (
        #[doc = $about:literal] $(#[doc = $more:literal])*
        $vis:vis struct $object:ident {
            $($(#[doc = $doc:literal])+ $how:ident $(($default:expr))? $key:literal $member:ident: $kind:ty),* $(,)?
        }
    ) => {
        #[doc = $about]
        $(#[doc = $more])*
        $vis struct $object {
            $($(#[doc = $doc])+ pub(crate) $member:
                Option<$crate::json::fields!(@type $how <$kind as $crate::json::Kind>::Value)>,)*
        }

        impl $object {
            /// Reads the object. `None`, if the value is no object.
            $vis fn read(node: &$crate::json::Node<'_>) -> Option<$object> {
                let fields = node.object(&[$($key),*])?;
                Some($object { $($member:
                    $crate::json::fields!(@read $how $(($default))? fields, $key, $kind),)* })
            }

            /// What is known of the object.
            $vis const FACTS: $crate::json::ObjectFacts = $crate::json::ObjectFacts {
                about: $about,
                fields: &[$($crate::json::FieldFacts {
                    key: $key,
                    about: concat!($($doc, "\n"),+),
                    required: $crate::json::fields!(@required $how),
                    schema: <$kind as $crate::json::Kind>::schema,
                }),*],
            };
        }
    };
    (@type required $value:ty) => { $value };
    (@type optional $value:ty) => { Option<$value> };
    (@type or $value:ty) => { $value };
    (@read required $fields:ident, $key:literal, $kind:ty) => {
        $fields.required($key, <$kind as $crate::json::Kind>::decode)
    };
    (@read optional $fields:ident, $key:literal, $kind:ty) => {
        $fields.optional($key, <$kind as $crate::json::Kind>::decode)
    };
    (@read or ($default:expr) $fields:ident, $key:literal, $kind:ty) => {
        $fields.or($key, $default, <$kind as $crate::json::Kind>::decode)
    };
    (@required required) => { true };
    (@required optional) => { false };
    (@required or) => { false };
}

pub(crate) use fields;
