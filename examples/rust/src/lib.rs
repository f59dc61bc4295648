//! A safe wrapper around libourgan's C interface, as much of it as an application needs.
//!
//! Canvases may be shared among threads (`Sync`): the C functions may be called by several at once. Freeing is `Drop`,
//! which Rust calls when nobody else has the object.
use std::ffi::{c_char, c_void, CStr, CString};
use std::fmt;
use std::mem::size_of;
use std::path::Path;
use std::ptr;

mod ffi {
    use super::{c_char, c_void};

    pub type Status = i32;
    pub type Progress = extern "C" fn(share: f64, user: *mut c_void) -> i32;

    #[repr(C)]
    pub struct SourceOptions {
        pub struct_size: usize,
        pub memory_limit: u64,
        pub threads: i32,
        pub reserved: i32,
    }

    #[repr(C)]
    pub struct CanvasOptions {
        pub struct_size: usize,
        pub width: i64,
        pub height: i64,
        pub seed: u64,
        pub extent: f64,
        pub variety: f64,
        pub vertical: f64,
        pub tileable: i32,
        pub symmetric: i32,
        pub retarget: i32,
        pub reserved: i32,
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Region {
        pub y0: i64,
        pub x0: i64,
        pub y1: i64,
        pub x1: i64,
    }

    extern "C" {
        pub fn ourgan_abi_version() -> i32;
        pub fn ourgan_status_name(status: Status) -> *const c_char;
        pub fn ourgan_last_error() -> *const c_char;
        pub fn ourgan_source_options_init_sized(options: *mut SourceOptions, size: usize);
        pub fn ourgan_open(path: *const c_char, options: *const SourceOptions, source: *mut *mut c_void) -> Status;
        pub fn ourgan_source_size(source: *const c_void, width: *mut i64, height: *mut i64) -> Status;
        pub fn ourgan_source_free(source: *mut c_void);
        pub fn ourgan_canvas_options_init_sized(options: *mut CanvasOptions, size: usize);
        pub fn ourgan_canvas_new(source: *mut c_void, options: *const CanvasOptions, canvas: *mut *mut c_void) -> Status;
        pub fn ourgan_canvas_level_size(canvas: *const c_void, level: i32, width: *mut i64, height: *mut i64) -> Status;
        pub fn ourgan_canvas_read(
            canvas: *mut c_void,
            level: i32,
            region: Region,
            format: i32,
            pixels: *mut c_void,
            row_stride: isize,
            token: *const c_void,
            progress: Option<Progress>,
            user: *mut c_void,
        ) -> Status;
        pub fn ourgan_canvas_free(canvas: *mut c_void);
    }
}

const ABI_VERSION: i32 = 1;

pub use ffi::Region;

/// What a call returned: `name` is the status's, "SizeError" say.
#[derive(Debug)]
pub struct Error {
    pub name: String,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for Error {}

fn check(status: ffi::Status) -> Result<(), Error> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: both return texts that stay until this thread's next call.
    let text = |at| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned();
    Err(Error { name: text(unsafe { ffi::ourgan_status_name(status) }), message: text(unsafe { ffi::ourgan_last_error() }) })
}

/// A bundle or a photograph.
pub struct Source(*mut c_void);

// SAFETY: see the module.
unsafe impl Send for Source {}
unsafe impl Sync for Source {}

impl Source {
    /// Opens a file; `memory_limit` in bytes, 0 for none.
    pub fn open(path: &Path, memory_limit: u64) -> Result<Source, Error> {
        // SAFETY: takes nothing.
        assert_eq!(unsafe { ffi::ourgan_abi_version() }, ABI_VERSION, "libourgan is of another version");
        let path = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| Error { name: "ValueError".into(), message: "a path with a zero byte".into() })?;
        let mut options = ffi::SourceOptions { struct_size: 0, memory_limit: 0, threads: 0, reserved: 0 };
        let mut source = ptr::null_mut();
        // SAFETY: all of these live until the calls return.
        unsafe {
            ffi::ourgan_source_options_init_sized(&mut options, size_of::<ffi::SourceOptions>());
            options.memory_limit = memory_limit;
            check(ffi::ourgan_open(path.as_ptr(), &options, &mut source))?;
        }
        Ok(Source(source))
    }

    /// (width, height) of the photograph.
    pub fn size(&self) -> (i64, i64) {
        let (mut width, mut height) = (0, 0);
        // SAFETY: the source lives, and so it does not fail.
        unsafe { ffi::ourgan_source_size(self.0, &mut width, &mut height) };
        (width, height)
    }

    /// One picture; `extent` is how many photographs wide it is, 0 by default.
    pub fn canvas(&self, width: i64, height: i64, seed: u64, extent: f64) -> Result<Canvas, Error> {
        // SAFETY: zeros are values of all of its fields.
        let mut options: ffi::CanvasOptions = unsafe { std::mem::zeroed() };
        let mut canvas = ptr::null_mut();
        // SAFETY: all of these live until the calls return.
        unsafe {
            ffi::ourgan_canvas_options_init_sized(&mut options, size_of::<ffi::CanvasOptions>());
            (options.width, options.height, options.seed, options.extent) = (width, height, seed, extent);
            check(ffi::ourgan_canvas_new(self.0, &options, &mut canvas))?;
        }
        Ok(Canvas(canvas))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { ffi::ourgan_source_free(self.0) }
    }
}

/// A picture, of which any part can be read. It goes on without its source.
pub struct Canvas(*mut c_void);

// SAFETY: see the module.
unsafe impl Send for Canvas {}
unsafe impl Sync for Canvas {}

extern "C" fn call_progress(share: f64, user: *mut c_void) -> i32 {
    // SAFETY: `read` has put it there, and waits until the call is over.
    let progress = unsafe { &mut *user.cast::<&mut dyn FnMut(f64) -> bool>() };
    i32::from(!progress(share)) // a panic ends the process: it may not pass through C
}

impl Canvas {
    /// (width, height) of a level.
    pub fn level_size(&self, level: i32) -> Result<(i64, i64), Error> {
        let (mut width, mut height) = (0, 0);
        // SAFETY: the canvas lives.
        check(unsafe { ffi::ourgan_canvas_level_size(self.0, level, &mut width, &mut height) })?;
        Ok((width, height))
    }

    /// A region's pixels, RGB of 8 bits. `progress` is told the share that is done; false cancels.
    pub fn read(&self, level: i32, region: Region, mut progress: &mut dyn FnMut(f64) -> bool) -> Result<Vec<u8>, Error> {
        let (width, height) = self.level_size(level)?;
        let is_inside = 0 <= region.y0 && region.y0 < region.y1 && region.y1 <= height
            && 0 <= region.x0 && region.x0 < region.x1 && region.x1 <= width;
        let row = if is_inside { 3 * (region.x1 - region.x0) as usize } else { 0 };
        let rows = if is_inside { (region.y1 - region.y0) as usize } else { 0 };
        let mut pixels = vec![0_u8; (rows * row).max(1)]; // what is not inside is for the library to refuse
        // SAFETY: the memory is as large as the region, and `progress` lives until the call returns.
        check(unsafe {
            ffi::ourgan_canvas_read(
                self.0,
                level,
                region,
                0,
                pixels.as_mut_ptr().cast(),
                row as isize,
                ptr::null(),
                Some(call_progress),
                ptr::from_mut(&mut progress).cast(),
            )
        })?;
        Ok(pixels)
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { ffi::ourgan_canvas_free(self.0) }
    }
}
