package vidu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/oneshot"
)

// maxUploadBytes is the official limit of one upload.
const maxUploadBytes = 10 << 20

var uploadKind = mediaKind{formats: imageKind.formats, types: imageTypes, maxBytes: maxUploadBytes - 1, wide: true}

// UploadImage stores an image on the server and returns the reference to it, for use in any number of requests. That is
// the way for more images than the 20 MB of one request hold. image is a [File], [FS] or [Bytes] of less than 10 MB; it
// is checked as in a request and streamed.
//
// The image itself goes to a link of the server's storage, which gets no key. The link is as good as a key for this one
// image, and storage may quote it: for a failed upload an [*APIError] has the status, the trace id and RetryAfter, but
// not the body. Uploads are free and part of the official API; elsewhere the error is [ErrNotSupported]. Source: the
// upload page of platform.vidu.com.
func (c *Client) UploadImage(ctx context.Context, image Media) (Media, error) {
	if err := c.ready(ctx); err != nil {
		return Media{}, err
	}
	in, err := image.forUpload()
	if err != nil {
		return Media{}, &ValidationError{Problems: []FieldProblem{{Field: "image", Reason: err.Error()}}}
	}
	id, link, err := c.startUpload(ctx)
	if err != nil {
		return Media{}, unsupported(err)
	}
	etag, err := c.putImage(ctx, link, in)
	if err != nil {
		return Media{}, err
	}
	return c.finishUpload(ctx, id, etag)
}

// forUpload checks an image that is to be sent as it is.
func (m Media) forUpload() (*inline, error) {
	_, in, err := m.check(&uploadKind)
	switch {
	case err != nil:
		return nil, err
	case in == nil || in.contentType == "":
		return nil, errors.New("has no file to upload; use vidu.File, vidu.FS or vidu.Bytes")
	}
	in.Name, in.Raw, in.Prefix = "image", true, ""
	return in, nil
}

// startUpload asks for a place to put the image.
func (c *Client) startUpload(ctx context.Context) (id string, link *url.URL, err error) {
	rq := &request{
		operation: "start upload", method: http.MethodPost, path: "/tools/v2/files/uploads", fromRoot: true,
		body: oneshot.New([]byte(`{"scene":"vidu"}`), nil, nil), limit: maxReply,
	}
	err = c.call(ctx, rq, func(a *attempt) error {
		reply := a.reply()
		if err := checkReply(reply); err != nil {
			return err
		}
		if id = lenientjson.Value(reply).Member("id").Text(); !validID(id) {
			return fmt.Errorf("%w: it names no upload", errBadReply)
		}
		var err error
		if link, err = c.parseLink(lenientjson.Value(reply).Member("put_url").Str()); err != nil {
			return fmt.Errorf("%w: put_url: %w", errBadReply, err)
		}
		return nil
	})
	return id, link, err
}

// putImage stores the image and returns the ETag that the storage gives it.
func (c *Client) putImage(ctx context.Context, link *url.URL, in *inline) (etag string, err error) {
	b := &oneshot.Body{}
	b.AddSource(&in.Source)
	err = c.call(ctx, &request{
		operation: "upload image", method: http.MethodPut, body: b, limit: maxErrorReply,
		presigned: &presignedLink{url: link, contentType: in.contentType},
	}, func(a *attempt) error {
		if etag = a.header.Get("ETag"); etag == "" {
			return errors.New("the storage gave no ETag")
		}
		return nil
	})
	return etag, err
}

// finishUpload reports to the server that the image is stored.
func (c *Client) finishUpload(ctx context.Context, id, etag string) (Media, error) {
	text, err := json.Marshal(map[string]string{"etag": etag})
	if err != nil {
		return Media{}, err
	}
	rq := &request{
		operation: "finish upload", method: http.MethodPut, path: "/tools/v2/files/uploads/" + id + "/finish", fromRoot: true,
		body: oneshot.New(text, nil, nil), limit: maxReply,
	}
	var ref Media
	err = c.call(ctx, rq, func(a *attempt) error {
		reply := a.reply()
		if err := checkReply(reply); err != nil {
			return err
		}
		ref = UploadRef(lenientjson.Value(reply).Member("uri").Str())
		if _, _, err := ref.check(&imageKind); err != nil {
			return fmt.Errorf("%w: uri %w", errBadReply, err)
		}
		return nil
	})
	if err != nil {
		return Media{}, err
	}
	return ref, nil
}
