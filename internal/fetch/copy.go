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

// copy takes body until it ends or end is reached. It is not io.Copy, which would let os.File read by itself, in
// pieces of 32 KiB. Only the time spent reading counts as idle: a writer may take as long as it needs.
func (d *download) copy(ctx context.Context, body io.Reader, end int64, idle *time.Timer) error {
	buf, ok := buffers.Get().(*[bufferSize]byte)
	if !ok {
		buf = new([bufferSize]byte)
	}
	defer buffers.Put(buf)
	for empty := 0; d.offset != end; {
		if err := ctx.Err(); err != nil { // not every body looks at it
			return d.transportError(ctx, err)
		}
		piece := buf[:]
		if end >= 0 {
			piece = buf[:min(end-d.offset, bufferSize)]
		}
		idle.Reset(idleTimeout)
		n, err := body.Read(piece)
		idle.Stop()
		if err := d.take(piece[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
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
	return d.takeAll()
}

// take takes one piece. The beginning of the file is held back until there is enough of it to judge the file by: what
// is written is never part of a message.
func (d *download) take(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if int64(len(p)) > d.job.MaxBytes-d.offset {
		return fmt.Errorf("the file has more than %d bytes", d.job.MaxBytes)
	}
	d.offset += int64(len(p))
	d.file.Feed(p)
	d.checksum.Feed(p)
	switch {
	case d.judged:
	case len(d.held)+len(p) < wholefile.HeadSize:
		d.held = append(d.held, p...)
		return nil
	case len(d.held) > 0:
		p = append(d.held, p...)
		fallthrough
	default:
		if err := d.judgeFile(p[:wholefile.HeadSize]); err != nil {
			return err
		}
	}
	return d.write(p)
}

// judgeFile judges the file that came, and forgets a message.
func (d *download) judgeFile(head []byte) error {
	err := d.judge(head, d.header, d.host)
	if err != nil {
		d.forget()
	}
	return err
}

// takeAll is called where a body has ended as it should. A file that is shorter than what it is judged by is judged
// then, if that is all of it: of a part, such as "RIFF", the bytes would mislead.
func (d *download) takeAll() error {
	switch {
	case d.judged, d.offset < d.total, !d.isLengthSure() && 0 < d.offset && d.offset < wholefile.MinSize:
		return nil
	}
	if err := d.judgeFile(d.held); err != nil || d.offset == 0 {
		return err
	}
	return d.write(d.held)
}

// isLengthSure reports whether the file is as long as it should be, and not only as long as what came.
func (d *download) isLengthSure() bool {
	return d.total >= 0 || d.checksum.Name != "" && d.checksum.Match()
}

// write writes one piece.
func (d *download) write(p []byte) error {
	d.judged, d.held = true, nil
	n, err := d.out.Write(p)
	d.written += int64(n)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	if d.job.Progress != nil {
		d.job.Progress(d.written, d.total)
	}
	return nil
}

// checkWhole decides whether the file is whole, when a body has ended as it should.
func (d *download) checkWhole() error {
	switch {
	case d.offset == 0:
		return &retryableError{err: fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF)}
	case d.offset < d.total:
		return &retryableError{err: fmt.Errorf("%d bytes are missing: %w", d.total-d.offset, io.ErrUnexpectedEOF)}
	case !d.isLengthSure() && (d.offset < wholefile.MinSize || !d.file.Whole()):
		return &retryableError{err: fmt.Errorf("the %s is incomplete: %w", d.job.Name, io.ErrUnexpectedEOF)}
	case d.file.Cut(): // an image may have bytes behind its end mark, so if its length is stated that is enough
		return fmt.Errorf("the server's file is an incomplete MP4: %w", io.ErrUnexpectedEOF)
	case !d.checksum.Match():
		return fmt.Errorf("checksum mismatch: the file is not what the header %s promises", d.checksum.Name)
	}
	return nil
}

// startOver discards what came because of cause. Only a file can be truncated; what a writer has taken is gone.
func (d *download) startOver(cause error) error {
	if d.written > 0 {
		if d.job.File == nil {
			return fmt.Errorf("%w; it cannot be resumed, and a writer cannot be started over", cause)
		}
		if err := d.job.File.Truncate(0); err != nil {
			return err
		}
		if _, err := d.job.File.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	d.forget()
	return nil
}

// forget forgets what came, where nothing is written. acceptWhole sets the rest.
func (d *download) forget() {
	d.offset, d.written, d.judged, d.held, d.file = 0, 0, false, nil, wholefile.File{}
}
