//! Tables for people. A library aligns their columns and breaks what is too wide.

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};

/// The side of its column on which a cell stands.
pub(crate) use comfy_table::CellAlignment as Side;

/// Blanks between two columns.
const GAP: u16 = 2;

/// Rows of cells in aligned columns.
pub(crate) struct Table {
    table: comfy_table::Table,
    sides: Vec<Side>,
    indent: u16,
    first: u16,
}

impl Table {
    /// A table whose cells stand on these sides of their columns. Each line is indented by so many blanks.
    pub(crate) fn new(indent: u16, sides: impl IntoIterator<Item = Side>) -> Table {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        Table { table, sides: sides.into_iter().collect(), indent, first: 0 }
    }

    /// A table with names on the left and numbers on the right of them.
    pub(crate) fn of_numbers(indent: u16, numbers: usize) -> Table {
        Table::new(indent, std::iter::once(Side::Left).chain(std::iter::repeat_n(Side::Right, numbers)))
    }

    /// Makes the first column at least so wide, for example as wide as that of another table.
    pub(crate) fn first_at_least(mut self, width: usize) -> Table {
        self.first = u16::try_from(width).unwrap_or(u16::MAX);
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    /// The lines, each as wide as its cells need.
    pub(crate) fn lines(mut self) -> Vec<String> {
        for (column, side) in self.table.column_iter_mut().zip(&self.sides) {
            let left = if column.index == 0 { self.indent } else { GAP };
            column.set_padding((left, 0)).set_cell_alignment(*side);
            if column.index == 0 {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(self.first + left)));
            }
        }
        self.table.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// The lines, of at most `width` columns if the cells allow it. The last column is broken at blanks.
    pub(crate) fn wrapped(mut self, width: usize) -> Vec<String> {
        self.table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
        for column in self.table.column_iter_mut().take(self.sides.len().saturating_sub(1)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        self.lines()
    }
}
