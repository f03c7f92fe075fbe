package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vidu-go/vidu/internal/wholefile"
)

const (
	bufferSize    = 192 << 10
	maxEmptyReads = 100 // in a row, as in package bufio
)

// buffers are large, for fewer system calls, and shared, so that a download costs no memory worth counting.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copy writes body until it ends or end is reached. It is not io.Copy, which would let os.File read by itself, in
// pieces of 32 KiB. Only the time spent reading counts as idle: a writer may take as long as it needs.
func (d *download) copy(ctx context.Context, body io.Reader, end int64, idle *time.Timer) error {
	buf, ok := buffers.Get().(*[bufferSize]byte)
	if !ok {
		buf = new([bufferSize]byte)
	}
	defer buffers.Put(buf)
	for empty := 0; d.written != end; {
		if err := ctx.Err(); err != nil { // not every body looks at it
			return d.transportError(ctx, err)
		}
		piece := buf[:]
		if end >= 0 {
			piece = buf[:min(end-d.written, bufferSize)]
		}
		idle.Reset(idleTimeout)
		n, err := body.Read(piece)
		idle.Stop()
		if err := d.write(piece[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if empty++; n > 0 {
			empty = 0
		}
		if empty == maxEmptyReads {
			err = io.ErrNoProgress
		}
		if err != nil {
			return d.transportError(ctx, err)
		}
	}
	return nil
}

// write writes one piece, and shows it to what checks the file.
func (d *download) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if int64(len(p)) > d.job.MaxBytes-d.written {
		return fmt.Errorf("the file has more than %d bytes", d.job.MaxBytes)
	}
	n, err := d.out.Write(p)
	d.written += int64(n)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	d.maxWritten = max(d.maxWritten, d.written)
	if d.job.Video {
		d.mp4.Feed(p)
	} else {
		d.still.Feed(p)
	}
	d.checksum.Feed(p)
	if d.job.Progress != nil {
		d.job.Progress(d.written, d.total)
	}
	return nil
}

// checkWhole decides whether the file is whole, when a body has ended as it should.
func (d *download) checkWhole() error {
	switch {
	case d.written == 0:
		return &retryableError{err: fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF)}
	case d.written < d.total:
		return &retryableError{err: fmt.Errorf("%d bytes are missing: %w", d.total-d.written, io.ErrUnexpectedEOF)}
	case d.total < 0 && (d.written < wholefile.MinSize || !d.mp4.Whole() || !d.still.Whole()):
		return &retryableError{err: fmt.Errorf("the %s is incomplete: %w", d.job.Name, io.ErrUnexpectedEOF)}
	case !d.mp4.Whole(): // an image may have bytes behind its end mark, so if its length is stated that is enough
		return fmt.Errorf("the server's file is an incomplete MP4: %w", io.ErrUnexpectedEOF)
	case !d.checksum.Match():
		return fmt.Errorf("checksum mismatch: the file is not what the header %s promises", d.checksum.Name)
	}
	return nil
}

// startOver discards what is written because of cause. Only a file can be truncated; what a writer has taken is gone.
func (d *download) startOver(cause error) error {
	if d.written == 0 {
		return nil
	}
	if d.job.File == nil {
		return fmt.Errorf("%w; it cannot be resumed, and a writer cannot be started over", cause)
	}
	if err := d.job.File.Truncate(0); err != nil {
		return err
	}
	if _, err := d.job.File.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.written, d.mp4, d.still = 0, wholefile.MP4{}, wholefile.Still{} // acceptWhole sets the rest
	return nil
}
