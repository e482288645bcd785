//! Planes with their padding in place, and rows and columns sorted by their rest modulo a stride.
//!
//! Whatever the stride, a tap of a window then reads one unbroken run for a whole plane of outputs, whose rows lie a step apart
//! with a few columns between that nobody reads: no loop asks for borders, and narrow images fill vectors as wide ones do.

/// Outputs that are made at once: enough sums under way to hide what an addition takes.
pub(super) const WIDTH: usize = 64;

/// A padded plane: `stride * stride` phases of `rows` rows of `step` columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    stride: usize,
    rows: usize,
    /// From a row to the next.
    pub(super) step: usize,
    top: usize,
    left: usize,
    /// Columns that a tap goes beyond the first.
    reach: usize,
    /// Length of a run: the outputs with what lies between their rows, up to a multiple of [`WIDTH`].
    pub(super) run: usize,
}

impl Layout {
    pub(super) fn new(kernel: (usize, usize), out: (usize, usize), stride: usize, (top, left): (usize, usize)) -> Self {
        let reach = (kernel.1 - 1) / stride;
        let (rows, step) = (out.0 + (kernel.0 - 1) / stride, out.1 + reach);
        Self { stride, rows, step, top, left, reach, run: (out.0 * step).next_multiple_of(WIDTH) }
    }

    /// Of a whole plane; a run that starts at the last tap ends within it.
    pub(super) fn size(&self) -> usize {
        self.stride * self.stride * self.rows * self.step + self.reach + WIDTH
    }

    /// Where the tap in this row and column of the kernel reads for the first output.
    pub(super) fn tap(&self, row: usize, column: usize) -> usize {
        let phase = row % self.stride * self.stride + column % self.stride;
        phase * self.rows * self.step + row / self.stride * self.step + column / self.stride
    }

    /// Where each tap of a kernel over so many planes reads for the first output.
    pub(super) fn taps(&self, planes: usize, (kernel_height, kernel_width): (usize, usize)) -> Vec<usize> {
        let place =
            |plane| (0..kernel_height).flat_map(move |row| (0..kernel_width).map(move |column| (plane, row, column)));
        (0..planes).flat_map(place).map(|(plane, row, column)| plane * self.size() + self.tap(row, column)).collect()
    }

    /// Copies planes of `height` rows and `width` columns, each padded with a value. `padded` is empty or what this layout has filled before.
    pub(super) fn pad(&self, planes: &[f32], height: usize, width: usize, outside: f32, padded: &mut Vec<f32>) {
        padded.resize(planes.len() / (height * width) * self.size(), outside);
        for (plane, padded) in planes.chunks(height * width).zip(padded.chunks_mut(self.size())) {
            for (row, line) in plane.chunks(width).enumerate() {
                let row = row + self.top;
                if row / self.stride >= self.rows {
                    break;
                }
                for phase in 0..self.stride {
                    // the first column of this phase
                    let first = (phase + self.stride - self.left % self.stride) % self.stride;
                    let column = (first + self.left) / self.stride;
                    let (Some(line), Some(room)) = (line.get(first..), self.step.checked_sub(column)) else { continue };
                    let at = self.tap(row % self.stride, phase) + row / self.stride * self.step + column;
                    every(self.stride, line, &mut padded[at..at + room]);
                }
            }
        }
    }
}

/// The first of every `stride` values, as far as both reach.
pub(super) fn every(stride: usize, source: &[f32], target: &mut [f32]) {
    match stride {
        1 => {
            let count = source.len().min(target.len());
            target[..count].copy_from_slice(&source[..count]);
        }
        2 => {
            let (pairs, rest) = source.as_chunks::<2>();
            for (value, [read, _]) in target.iter_mut().zip(pairs) {
                *value = *read;
            }
            if let (Some(value), Some(read)) = (target.get_mut(pairs.len()), rest.first()) {
                *value = *read;
            }
        }
        stride => {
            for (value, read) in target.iter_mut().zip(source.iter().step_by(stride)) {
                *value = *read;
            }
        }
    }
}
