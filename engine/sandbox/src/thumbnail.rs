//! Pictures of attachments in small: 180 by 120, JPEG. A picture of too many pixels, or of a kind that is not read, gets a
//! blank one, as Mailpit has it.

use crate::api::{bad, not_found, Api};
use crate::captured::Stored;
use crate::limits::{SANDBOX_PICTURE_BYTES, SANDBOX_PICTURE_SIDE};
use crate::mime;
use crate::view;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{overlay, FilterType};
use image::{DynamicImage, ImageReader, Limits, Rgba, RgbaImage};
use ringmta_http::Response;
use std::io::Cursor;

const WIDTH: u32 = 180;
const HEIGHT: u32 = 120;
const QUALITY: u8 = 70;

impl Api {
    /// `message/{id}/part/{part}/thumb`.
    pub(super) async fn thumbnail(
        &self,
        message: &Stored,
        part: &str,
    ) -> Result<Response, Response> {
        let (mail, part) = (message.mail.clone(), part.to_string());
        let work = move || {
            let (described, bytes) = mime::part(&mail.source, &part)?;
            let is_picture = described.content_type.starts_with("image/");
            Some(small(is_picture.then_some(bytes.as_slice())))
        };
        let made = self.pictures.run(work).await.map_err(bad)?.ok_or_else(not_found)?;
        let response = Response::bytes("image/jpeg", made.map_err(bad)?);
        Ok(view::contained(response, view::VIEW_POLICY))
    }
}

/// The picture in small, with white around it; blocks.
fn small(picture: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut canvas = RgbaImage::from_pixel(WIDTH, HEIGHT, Rgba([255, 255, 255, 255]));
    if let Some(read) = picture.and_then(read) {
        let fits = read.width() <= WIDTH && read.height() <= HEIGHT;
        let shown =
            if fits { read } else { read.resize(WIDTH, HEIGHT, FilterType::Triangle) }.into_rgba8();
        let (x, y) = ((WIDTH - shown.width()) / 2, (HEIGHT - shown.height()) / 2);
        overlay(&mut canvas, &shown, i64::from(x), i64::from(y));
    }
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    let flat = DynamicImage::ImageRgba8(canvas).into_rgb8();
    flat.write_with_encoder(encoder).map_err(|error| error.to_string())?;
    Ok(jpeg)
}

/// Reads a picture of bounded size. The decoders panic on nothing we know of, and if one did on some picture, its thread
/// ends alone.
fn read(bytes: &[u8]) -> Option<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SANDBOX_PICTURE_SIDE);
    limits.max_image_height = Some(SANDBOX_PICTURE_SIDE);
    limits.max_alloc = Some(SANDBOX_PICTURE_BYTES);
    reader.limits(limits);
    reader.decode().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;

    fn size(jpeg: &[u8]) -> (u32, u32) {
        let read = image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg).unwrap();
        (read.width(), read.height())
    }

    #[test]
    fn pictures_of_each_kind() {
        let red =
            DynamicImage::ImageRgb8(image::RgbImage::from_pixel(600, 300, image::Rgb([200, 0, 0])));
        for format in [
            ImageFormat::Png,
            ImageFormat::Gif,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Bmp,
        ] {
            let mut bytes = Cursor::new(Vec::new());
            red.write_to(&mut bytes, format).unwrap();
            let made = small(Some(bytes.get_ref())).unwrap();
            assert_eq!(size(&made), (180, 120), "{format:?}");
            let shown = image::load_from_memory(&made).unwrap().into_rgb8();
            let [r, g, b] = shown.get_pixel(90, 60).0;
            assert!(r > 180 && g < 30 && b < 30, "{format:?}: {r} {g} {b}");
            assert!(shown.get_pixel(90, 2).0[1] > 240, "white above it");
        }
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_not_read() {
        // A header that promises 60,000 by 60,000.
        let mut png =
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x06\0\0\0".to_vec();
        png.extend(0x2c2a_1a0f_u32.to_be_bytes());
        assert_eq!(size(&small(Some(&png)).unwrap()), (180, 120));
        assert_eq!(size(&small(Some(b"no picture")).unwrap()), (180, 120));
        assert_eq!(size(&small(None).unwrap()), (180, 120));
    }
}
