//! Claimed ranges as arrays of the crate `ndarray`.

use multiproc::{
    Array, Error, ViewError,
    ndarray::{
        ArrayView0, ArrayView1, ArrayView2, ArrayView3, ArrayViewD, ArrayViewMut2, Axis, Ix0, Ix2,
        Ix3, array, s,
    },
};

multiproc::init_in_tests!();

/// A shared array of this shape, whose elements count from 0.
fn counting(shape: &[usize]) -> Array<f64> {
    let array = Array::zeroed(shape).unwrap();
    for (i, element) in array.lock().unwrap().iter_mut().enumerate() {
        *element = i as f64;
    }
    array
}

#[test]
fn the_whole_array_is_seen_with_its_dimensions() {
    let matrix = counting(&[3, 4]);
    let all = matrix.read(..).unwrap();
    let view: ArrayView2<f64> = all.view().unwrap();
    assert_eq!(view.shape(), [3, 4]);
    assert_eq!(view[[2, 1]], 9.0);
    assert_eq!(view.sum_axis(Axis(0)).to_vec(), [12.0, 15.0, 18.0, 21.0]);
    assert_eq!(view.as_ptr(), all.as_ptr(), "nothing is copied");
    let view: ArrayViewD<f64> = all.view().unwrap();
    assert_eq!(view.shape(), [3, 4]);
}

#[test]
fn claimed_rows_are_seen_as_so_many_rows() {
    let cube = counting(&[5, 2, 3]);
    let rows = cube.read(cube.rows(1..3)).unwrap();
    let view: ArrayView3<f64> = rows.view().unwrap();
    assert_eq!(view.shape(), [2, 2, 3]);
    assert_eq!(view[[0, 0, 0]], 6.0);
    assert_eq!(view[[1, 1, 2]], 17.0);
    let none = cube.read(cube.rows(2..2)).unwrap();
    assert_eq!(
        none.view().unwrap() as ArrayView3<f64>,
        ArrayView3::from_shape([0, 2, 3], &[]).unwrap()
    );
}

#[test]
fn what_is_written_through_a_view_is_in_the_array() {
    let matrix = counting(&[3, 2]);
    let mut rows = matrix.write(matrix.rows(1..3)).unwrap();
    let mut view: ArrayViewMut2<f64> = rows.view_mut().unwrap();
    view.slice_mut(s![.., 1]).fill(-1.0);
    view[[0, 0]] *= 10.0;
    assert_eq!(
        rows.view().unwrap() as ArrayView2<f64>,
        array![[20.0, -1.0], [4.0, -1.0]]
    );
    drop(rows);
    assert_eq!(matrix.to_vec().unwrap(), [0.0, 1.0, 20.0, -1.0, 4.0, -1.0]);
}

#[test]
fn any_range_of_a_list_is_a_list_and_one_number_is_one_number() {
    let list = counting(&[10]);
    let some = list.read(3..5).unwrap();
    assert_eq!(
        some.view().unwrap() as ArrayView1<f64>,
        ArrayView1::from(&[3.0, 4.0])
    );
    let number = counting(&[]);
    let all = number.read(..).unwrap();
    let view: ArrayView0<f64> = all.view().unwrap();
    assert_eq!(view[[]], 0.0);
    let nothing = number.read(0..0).unwrap();
    assert_eq!(
        nothing.view::<Ix0>().unwrap_err(),
        ViewError::PartOfRow {
            start: 0,
            end: 0,
            row: 1
        }
    );
}

#[test]
fn arrays_without_elements_keep_their_dimensions() {
    for shape in [[0, 4], [4, 0], [0, 0]] {
        let empty = counting(&shape);
        let all = empty.read(..).unwrap();
        assert_eq!((all.view().unwrap() as ArrayViewD<f64>).shape(), shape);
    }
}

#[test]
fn parts_of_rows_are_refused() {
    let matrix = counting(&[3, 4]);
    for (start, end) in [(3, 8), (4, 7), (1, 2), (2, 6)] {
        let mut part = matrix.write(start..end).unwrap();
        let error = part.view_mut::<Ix2>().unwrap_err();
        assert_eq!(error, ViewError::PartOfRow { start, end, row: 4 });
        assert_eq!(
            Error::from(error).to_string(),
            format!("elements {start}..{end} are not whole rows, which are 4 elements each")
        );
    }
}

#[test]
fn another_number_of_dimensions_is_refused() {
    let matrix = counting(&[3, 4]);
    let all = matrix.read(..).unwrap();
    let error = all.view::<Ix3>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 dimensions were asked for, the array's shape is [3, 4]"
    );
}

#[test]
fn eight_dimensions_are_seen() {
    let array = counting(&[2, 1, 1, 2, 1, 1, 1, 2]);
    let all = array.read(array.rows(1..2)).unwrap();
    let view: ArrayViewD<f64> = all.view().unwrap();
    assert_eq!(view.shape(), [1, 1, 1, 2, 1, 1, 1, 2]);
    assert_eq!(view[[0, 0, 0, 1, 0, 0, 0, 1].as_slice()], 7.0);
}

#[test]
fn a_panic_while_a_view_is_written_poisons_the_claimed_rows() {
    let matrix = counting(&[3, 4]);
    let writer = matrix.clone();
    let panicked = std::thread::spawn(move || {
        let mut rows = writer.write(writer.rows(1..2)).unwrap();
        let mut view: ArrayViewMut2<f64> = rows.view_mut().unwrap();
        view[[0, 0]] = f64::NAN;
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panicked.join().is_err());
    let error = matrix.read(..).unwrap_err();
    assert!(error.to_string().contains("elements 4..8"), "{error}");
    let guard = error.into_guard().map_err(Error::from).unwrap();
    assert!(guard.view::<Ix2>().unwrap()[[1, 0]].is_nan());
}
