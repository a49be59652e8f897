//! Columns that every item table has.

use super::arrays::{codes_of, gather, texts};
use super::attributes::{Scope, items_json, resources_json};
use super::{Read, Rows};
use crate::sql::table::{Column, Kind};
use datafusion::arrow::array::{ArrayRef, StringViewArray};
use engine::anomaly;
use engine::items::{ItemColumns, Resource, Scope as Instrumentation};

/// A column that is read from what every item has.
const fn column(
    name: &'static str,
    doc: &'static str,
    read: fn(&ItemColumns, &Rows) -> ArrayRef,
) -> Column {
    Column {
        name,
        kind: Kind::Text,
        doc,
        read: Read::Items(read),
        keyed: None,
    }
}

/// Who sent it.
pub(super) const SENDER: [Column; 5] = [
    column(
        "service",
        "Service name (`service.name`); `unknown_service` when it was not sent.",
        |items, rows| {
            of_resource(items, rows, |resource| {
                Some(&resource.identity.service.name)
            })
        },
    ),
    column(
        "namespace",
        "`service.namespace`; NULL when not sent.",
        |items, rows| {
            of_resource(items, rows, |resource| {
                filled(&resource.identity.service.namespace)
            })
        },
    ),
    column(
        "environment",
        "`deployment.environment.name`; NULL when not sent.",
        |items, rows| {
            of_resource(items, rows, |resource| {
                filled(&resource.identity.service.environment)
            })
        },
    ),
    column(
        "revision",
        "The value that tells the service's revisions apart; NULL when nothing does.",
        |items, rows| {
            of_resource(items, rows, |resource| {
                filled(&resource.identity.revision.value)
            })
        },
    ),
    column(
        "instance",
        "`service.instance.id`, `k8s.pod.uid`, `k8s.pod.name` or `host.name`; NULL when none was sent.",
        |items, rows| of_resource(items, rows, |resource| filled(&resource.identity.instance)),
    ),
];

/// Attributes and instrumentation scope.
pub(super) const ATTRIBUTES: [Column; 4] = [
    Column {
        keyed: Some(Scope::Item),
        ..column(
            "attributes",
            "All attributes as JSON text; `attributes['key']` is one of them, in its own type (text when one key was sent with several types), NULL where absent.",
            items_json,
        )
    },
    Column {
        keyed: Some(Scope::Resource),
        ..column(
            "resource_attributes",
            "All attributes of the resource as JSON text; `resource_attributes['key']` is one of them.",
            resources_json,
        )
    },
    column(
        "scope_name",
        "Name of the instrumentation scope; NULL when not sent.",
        |items, rows| of_scope(items, rows, |scope| &scope.name),
    ),
    column(
        "scope_version",
        "Version of the instrumentation scope; NULL when not sent.",
        |items, rows| of_scope(items, rows, |scope| &scope.version),
    ),
];

fn filled(text: &String) -> Option<&String> {
    Some(text).filter(|text| !text.is_empty())
}

fn of_resource(
    items: &ItemColumns,
    rows: &Rows,
    text: fn(&Resource) -> Option<&String>,
) -> ArrayRef {
    let distinct: StringViewArray = items
        .resources
        .iter()
        .map(|resource| text(resource))
        .collect();
    gather(&distinct, &codes_of(&items.resource, rows, None))
}

fn of_scope(items: &ItemColumns, rows: &Rows, text: fn(&Instrumentation) -> &String) -> ArrayRef {
    let distinct: StringViewArray = items
        .scopes
        .iter()
        .map(|scope| filled(text(scope)))
        .collect();
    gather(&distinct, &codes_of(&items.scope, rows, None))
}

/// What was odd about each row, in words; NULL where nothing was.
pub(super) fn anomalies(bits: &[u16], rows: &Rows) -> ArrayRef {
    texts(rows, |row| {
        let bits = bits[row];
        (bits != 0).then(|| {
            let names = anomaly::NAMES.iter().filter(|(bit, _)| bits & bit != 0);
            names.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
        })
    })
}
