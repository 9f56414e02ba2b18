//! Puts a place on the map: the Equal Earth projection with the frame of `style/map/build.mjs`, which drew the land.

/// The frame's width in map units.
pub const WIDTH: f64 = 960.0;
/// The frame's height.
pub const HEIGHT: f64 = 430.0;
const CENTRE_LONGITUDE: f64 = 11.0;
const SCALE: f64 = 178.0;
const EQUATOR_Y: f64 = 246.0;

/// Coefficients of the projection (Šavrič, Patterson, Jenny 2018).
const A: [f64; 4] = [1.340_264, -0.081_106, 0.000_893, 0.003_796];

/// Map units for degrees east and north.
pub fn project(longitude: f64, latitude: f64) -> (f64, f64) {
    let m = 3f64.sqrt() / 2.0;
    let turned = (longitude - CENTRE_LONGITUDE + 540.0).rem_euclid(360.0) - 180.0;
    let l = (m * latitude.to_radians().sin()).asin();
    let l2 = l * l;
    let l6 = l2 * l2 * l2;
    let x =
        turned.to_radians() * l.cos() / (m * (A[0] + 3.0 * A[1] * l2 + l6 * (7.0 * A[2] + 9.0 * A[3] * l2)));
    let y = l * (A[0] + A[1] * l2 + l6 * (A[2] + A[3] * l2));
    (WIDTH / 2.0 + SCALE * x, EQUATOR_Y - SCALE * y)
}

#[cfg(test)]
mod tests {
    use super::project;

    #[test]
    fn places_stand_where_the_map_script_prints_them() {
        for ((longitude, latitude), (x, y)) in [
            ((114.17, 22.32), (746.2, 166.6)),
            ((-6.26, 53.35), (443.0, 69.2)),
            ((-119.7, 45.84), (182.0, 90.4)),
        ] {
            let here = project(longitude, latitude);
            assert!(
                (here.0 - x).abs() < 0.1 && (here.1 - y).abs() < 0.1,
                "{here:?} is not {x} {y}"
            );
        }
    }
}
