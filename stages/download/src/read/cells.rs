//! One value of a column as JSON.
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::DataType;
use serde_json::{Map, Number, Value};

/// The value of a row. An error names the type that has no JSON.
pub(crate) fn cell(array: &dyn Array, row: usize) -> Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    let int = |value: i64| Ok(Value::from(value));
    let float = |value: f64| Ok(Number::from_f64(value).map_or(Value::Null, Value::Number));
    match array.data_type() {
        DataType::Null => Ok(Value::Null),
        DataType::Boolean => Ok(array.as_boolean().value(row).into()),
        DataType::Int8 => int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Ok(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => text(array, row).map(|text| text.unwrap_or_default().into()),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => object(array.as_struct(), row),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let [names, values] = entries.columns() else { return Err("a map of odd shape".into()) };
            let entry = |at| {
                let name = text(names, at)?.unwrap_or_default().to_owned();
                Ok((name, cell(values, at)?))
            };
            (0..entries.len()).map(entry).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        other => Err(format!("values of type {other} are not understood")),
    }
}

/// The text of a row; `None` where it is null. Bytes are taken where they are UTF-8.
pub(crate) fn text(array: &dyn Array, row: usize) -> Result<Option<&str>, String> {
    if array.is_null(row) {
        return Ok(None);
    }
    let bytes = match array.data_type() {
        DataType::Utf8 => return Ok(Some(array.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => return Ok(Some(array.as_string::<i64>().value(row))),
        DataType::Utf8View => return Ok(Some(array.as_string_view().value(row))),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        other => return Err(format!("values of type {other} are no text")),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(format!("byte {} of the value is no UTF-8", error.valid_up_to())),
    }
}

fn list(values: &ArrayRef) -> Result<Value, String> {
    (0..values.len()).map(|at| cell(values, at)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn object(array: &StructArray, row: usize) -> Result<Value, String> {
    let mut fields = Map::new();
    for (field, column) in array.fields().iter().zip(array.columns()) {
        let value = cell(column, row)?;
        // A table has every field in every row; what a row did not have stands there as null.
        if !value.is_null() {
            fields.insert(field.name().clone(), value);
        }
    }
    Ok(fields.into())
}
