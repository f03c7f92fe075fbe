package vidutest

import (
	"bufio"
	"crypto/sha256"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

const (
	// toolsPrefix is what the paths of the API's uploads begin with, whatever its prefix is.
	toolsPrefix = "/tools/"
	// uploadPrefix begins the path of upload links.
	uploadPrefix = "/upload/"
	// uploadScheme begins every reference to an upload, uploadReference those of this server.
	uploadScheme    = "ssupload:"
	uploadReference = uploadScheme + "?id="
	// uploadLifetime is how long an upload link is valid.
	uploadLifetime = time.Hour
	// uploadLimit is the size, in bytes, that every upload must stay below.
	uploadLimit = 10 << 20
)

// upload is an image that is sent to the server ahead of a create. Its content is not kept.
type upload struct {
	kind     string // of the content, "" when it is not known
	etag     string // "" as long as there is no content
	finished bool
}

// uploads holds every upload of a server.
type uploads struct {
	mu   sync.Mutex
	byID map[string]*upload
}

// startReply is the body of the answer to the request for an upload link.
type startReply struct {
	ID        string    `json:"id"`
	PutURL    string    `json:"put_url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// startUpload answers POST /tools/v2/files/uploads.
func (s *Server) startUpload(c *call) answer {
	var asked struct {
		Scene string `json:"scene"`
	}
	if refused := decodeSmall(c.body, &asked); refused != nil {
		return *refused
	}
	if asked.Scene != "vidu" {
		return *refuseField("FieldInvalid", `scene must be "vidu"`)
	}
	id := randomHex(8)
	s.uploads.add(id)
	link := uploadPrefix + id
	return success(startReply{
		ID:        id,
		PutURL:    s.linkBase() + link + "?" + s.signer.query(link, uploadLifetime),
		ExpiresAt: time.Now().Add(uploadLifetime).UTC(),
	})
}

// putUpload answers a PUT to an upload link. Like real storage it does not check the content.
func (s *Server) putUpload(c *call) answer {
	refused := s.refuseLink(c.Request)
	switch {
	case refused != nil:
		return *refused
	case !strings.HasPrefix(c.Header.Get("Content-Type"), "image/"):
		return refuseStorage(http.StatusBadRequest, "InvalidContentType")
	case c.ContentLength < 0:
		return refuseStorage(http.StatusLengthRequired, "MissingContentLength")
	case c.ContentLength >= uploadLimit:
		return refuseStorage(http.StatusBadRequest, "EntityTooLarge")
	}
	content, hash := bufio.NewReader(c.body), sha256.New()
	begin, _ := content.Peek(magicBytes) // fewer are fine, and Copy returns the error
	kind := sniff(begin)
	if _, err := io.Copy(hash, content); err != nil {
		return refuseStorage(http.StatusBadRequest, "IncompleteBody")
	}
	tag := etag([sha256.Size]byte(hash.Sum(nil)))
	s.uploads.put(path.Base(c.URL.Path), kind, tag)
	return answer{status: http.StatusOK, etag: tag}
}

// finishUpload answers PUT /tools/v2/files/uploads/{id}/finish.
func (s *Server) finishUpload(c *call) answer {
	var asked struct {
		ETag string `json:"etag"`
	}
	if refused := decodeSmall(c.body, &asked); refused != nil {
		return *refused
	}
	id := path.Base(path.Dir(c.URL.Path))
	if refused := s.uploads.finish(id, asked.ETag); refused != nil {
		return *refused
	}
	return success(struct {
		URI string `json:"uri"`
	}{uploadReference + id})
}

func (us *uploads) add(id string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.byID[id] = &upload{}
}

// put records the content of an upload. It exists, for its link was issued.
func (us *uploads) put(id, kind, tag string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byID[id]
	u.kind, u.etag = kind, tag
}

// finish marks an upload as finished, or returns the refusal. The etag may lack its quotes.
func (us *uploads) finish(id, tag string) *answer {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byID[id]
	switch {
	case u == nil:
		return new(refuse(http.StatusNotFound, "NotFound", "there is no such upload"))
	case u.etag == "":
		return new(refuse(http.StatusBadRequest, "BadRequest", "nothing was uploaded"))
	case tag != u.etag && tag != strings.Trim(u.etag, `"`):
		return new(refuse(http.StatusBadRequest, "BadRequest", "the etag does not match the upload"))
	case u.kind != kindImage:
		return new(refuse(http.StatusBadRequest, "ImageFormatInvalid", "the upload has an unknown file format"))
	}
	u.finished = true
	return nil
}

// refuseUnknown returns the refusal of the first reference that is not to a finished image, nil when there is none.
func (us *uploads) refuseUnknown(items []item) *answer {
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, it := range items {
		if !strings.HasPrefix(it.value, uploadScheme) {
			continue
		}
		u := us.byID[strings.TrimPrefix(it.value, uploadReference)]
		if u == nil || !u.finished || it.kind != kindImage {
			return refuseField("FieldInvalid", it.path+": there is no such upload")
		}
	}
	return nil
}
