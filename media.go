package vidu

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/mediatype"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// Limits of the API on media. Source: the reference-to-video page of platform.vidu.com, August 2026. "MB" is not
// defined there; the larger reading is used, so that nothing is refused here that the server might take.
const (
	maxBodyBytes  = 20 << 20 // the whole request, base64 included
	maxImageBytes = 50 << 20 // one image
	maxVideoBytes = 20 << 20 // one inline video, before base64
	maxSoundBytes = 50 << 20 // one sound
	minPixels     = 128      // each side
	maxRatio      = 4        // of the longer side to the shorter one, exclusive
	maxWideRatio  = 5        // the same of viduq4-preview and models that are not known here, inclusive
)

// Media is a reference image or video: a link, or data that travels inside the request. Make one with [URL], [File],
// [FS], [Bytes], [DataURI] or [UploadRef]; the zero Media is invalid.
//
// Inline media of all kinds count against the 20 MB that the whole request may have, base64 included, so about 15 MB
// of files; for more use links or uploads. They are checked before anything is sent (format, dimensions, size) and are
// streamed: a request costs the same memory whatever its media weigh.
type Media struct {
	source source
	ref    string // the reference as it goes on the wire, or the file's name
	fsys   fs.FS  // of a file
	data   []byte // of Bytes
}

type source uint8

const (
	fromURL source = iota + 1
	fromUpload
	fromDataURI
	fromFile
	fromBytes
)

// URL refers to media by an absolute http or https link. The server fetches it, so it must be reachable from there; one
// that is not is accepted first, and then the task fails with [ErrImageDownloadFailure], uncharged.
func URL(link string) Media { return Media{source: fromURL, ref: link} }

// UploadRef refers to an image that was uploaded before, by the whole reference that the upload answered
// ("ssupload:?id=…").
func UploadRef(ref string) Media { return Media{source: fromUpload, ref: ref} }

// DataURI is media as "data:image/png;base64,…". The content type is mandatory. It is sent in lower case and without
// what the API does not take: other parameters, such as a charset, and line ends and blanks among the data.
func DataURI(uri string) Media { return Media{source: fromDataURI, ref: tidyDataURI(uri)} }

// File is a file on disk. It is opened when the request is checked and again when it is sent; a file that changed in
// between, by its size, its modification time or its identity, is an error. The content type is detected from the
// content, not from the file name.
func File(path string) Media { return FS(disk{}, path) }

// FS is a file of a file system, such as an [embed.FS]. It behaves as [File].
func FS(fsys fs.FS, name string) Media { return Media{source: fromFile, ref: name, fsys: fsys} }

// Bytes is media in memory. The slice is not copied: leave it as it is until the call returns.
func Bytes(data []byte) Media { return Media{source: fromBytes, data: data} }

// String describes the media in a few words, without its data or a link's query.
func (m Media) String() string {
	switch m.source {
	case fromURL:
		return scrub.URL(m.ref)
	case fromUpload, fromFile:
		if m.source == fromFile && notAPath(m.ref) != "" { // it may have a signature, or megabytes
			return scrub.URL(m.ref)
		}
		return scrub.OneLine(m.ref, 200)
	case fromDataURI:
		return fmt.Sprintf("data URI of %d bytes", len(m.ref))
	case fromBytes:
		return fmt.Sprintf("%d bytes", len(m.data))
	default:
		return "no media"
	}
}

// disk is the file system of all paths. os.DirFS has only those below one folder.
type disk struct{}

func (disk) Open(name string) (fs.File, error)     { return os.Open(name) }
func (disk) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// GoString is String, so that %#v does not print the data either.
func (m Media) GoString() string { return "vidu.Media(" + m.String() + ")" }

// MarshalJSON writes links, upload references and data URIs as a request has them, and the zero Media as null. Files
// and bytes are an error here: they become text with the request that they are part of.
func (m Media) MarshalJSON() ([]byte, error) {
	switch m.source {
	case fromURL, fromUpload, fromDataURI:
		return json.Marshal(m.ref)
	case fromFile, fromBytes:
		return nil, errors.New("vidu: files and bytes cannot be marshalled by themselves, only with their request")
	default:
		return []byte("null"), nil
	}
}

// UnmarshalJSON reads what MarshalJSON writes, and any string of a request.
func (m *Media) UnmarshalJSON(data []byte) error {
	if err := lenientjson.CheckCharacters(data); err != nil {
		return fmt.Errorf("vidu: %w", err)
	}
	var ref *string
	if err := json.Unmarshal(data, &ref); err != nil {
		return err
	}
	if *m = (Media{}); ref != nil {
		*m = mediumOf(*ref)
	}
	return nil
}

const (
	uploadScheme = "ssupload:"
	dataScheme   = "data:"
)

// mediaKind is what the API takes at one place of a request.
type mediaKind struct {
	formats  string   // for people
	types    []string // content types
	maxBytes int64
	wide     bool // images may have a ratio of up to 5:1, else of less than 4:1
}

var (
	imageTypes = []string{"image/png", "image/jpeg", "image/jpg", "image/webp"}
	videoTypes = []string{"video/mp4", "video/avi", "video/x-msvideo", "video/quicktime", "video/mov"}
	soundTypes = []string{"audio/mpeg", "audio/mp3"}

	imageKind     = mediaKind{formats: "image formats png, jpeg, webp", types: imageTypes, maxBytes: maxImageBytes}
	wideImageKind = mediaKind{formats: imageKind.formats, types: imageTypes, maxBytes: maxImageBytes, wide: true}
	videoKind     = mediaKind{formats: "video formats mp4, avi, mov", types: videoTypes, maxBytes: maxVideoBytes}
	soundKind     = mediaKind{formats: "sound formats mp3", types: soundTypes, maxBytes: maxSoundBytes}

	// anyKind is for endpoints that this package does not know.
	anyKind = mediaKind{
		formats:  "formats png, jpeg, webp, mp4, avi, mov, mp3, wav, m4a",
		types:    slices.Concat(imageTypes, videoTypes, soundTypes, []string{"audio/wav", "audio/x-wav", "audio/mp4", "audio/x-m4a"}),
		maxBytes: maxImageBytes, wide: true,
	}
)

// inline is media that travels in the request, checked and measured. It opens itself for its Source: Media must not
// have an exported method for that.
type inline struct {
	oneshot.Source // its Prefix is "data:image/png;base64,"; a data URI is all prefix

	media       Media
	contentType string
}

// newInline returns media as a source whose data are media's own.
func newInline(m Media) *inline {
	in := &inline{media: m}
	in.Data = in
	return in
}

// Open implements [oneshot.Opener].
func (in *inline) Open() (io.ReadCloser, fs.FileInfo, error) { return in.media.open() }

// String implements [oneshot.Opener].
func (in *inline) String() string { return in.media.String() }

// check returns what goes on the wire for media without data of its own, or the inline that will. The error is a
// reason for a [FieldProblem].
func (m Media) check(kind *mediaKind) (string, *inline, error) {
	switch m.source {
	case fromURL:
		return m.ref, nil, checkLink(m.ref)
	case fromUpload:
		if !strings.HasPrefix(m.ref, uploadScheme) {
			return "", nil, errors.New("must be an upload reference, which begins with \"ssupload:\"")
		}
		return m.ref, nil, nil
	case fromDataURI:
		in := newInline(m)
		in.Prefix = m.ref
		return "", in, checkDataURI(m.ref, kind)
	case fromFile, fromBytes:
		in, err := m.checkInline(kind)
		return "", in, err
	default:
		return "", nil, errors.New("is empty; use vidu.URL, vidu.File or another constructor")
	}
}

func (m Media) checkInline(kind *mediaKind) (*inline, error) {
	file, info, err := m.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := newInline(m)
	in.Size, in.Info = int64(len(m.data)), info
	if info != nil {
		in.Size = info.Size()
	}
	if in.Size > kind.maxBytes {
		return nil, fmt.Errorf("has %d bytes, at most %d are allowed", in.Size, kind.maxBytes)
	}
	contentType, err := checkContent(oneshot.LimitEmptyReads(file), kind)
	if err != nil {
		return nil, err
	}
	in.contentType, in.Prefix = contentType, "data:"+contentType+";base64,"
	return in, nil
}

// open opens the media's data and, when that is a file, returns its description as well. Only regular files are opened:
// a device or a pipe could block for ever.
func (m Media) open() (io.ReadCloser, fs.FileInfo, error) {
	if m.source != fromFile {
		return io.NopCloser(bytes.NewReader(m.data)), nil, nil
	}
	if m.fsys == nil {
		return nil, nil, errors.New("the file system is nil")
	}
	if use := notAPath(m.ref); use != "" {
		return nil, nil, fmt.Errorf("is not the path of a file; use %s", use)
	}
	if _, err := regular(fs.Stat(m.fsys, m.ref)); err != nil {
		return nil, nil, err
	}
	file, err := m.fsys.Open(m.ref)
	if err != nil {
		return nil, nil, err
	}
	if file == nil {
		return nil, nil, errNoFile
	}
	info, err := regular(file.Stat()) // again: it may be another one by now
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// notAPath returns the constructor for a reference that is not the path of a file, "" for a path.
func notAPath(ref string) string {
	for _, r := range []struct{ scheme, use string }{
		{"http://", "vidu.URL for links"}, {"https://", "vidu.URL for links"}, {uploadScheme, "vidu.UploadRef for uploads"}, {dataScheme, "vidu.DataURI for data URIs"},
	} {
		if hasScheme(ref, r.scheme) {
			return r.use
		}
	}
	return ""
}

// hasScheme reports whether ref begins with scheme, in any letter case and behind blanks.
func hasScheme(ref, scheme string) bool {
	ref = strings.TrimLeft(ref, " \t\r\n")
	return len(ref) >= len(scheme) && strings.EqualFold(ref[:len(scheme)], scheme)
}

var errNoFile = errors.New("the file system returned neither a file nor an error")

// regular returns what Stat returned, unless that is not a regular file of a known size. Implementations of fs.FS are
// untrusted.
func regular(info fs.FileInfo, err error) (fs.FileInfo, error) {
	switch {
	case err != nil:
		return nil, err
	case info == nil:
		return nil, errNoFile
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", info.Name())
	case info.Size() < 0:
		return nil, fmt.Errorf("%s does not say its size", info.Name())
	}
	return info, nil
}

// checkContent detects the content type from the content and checks the dimensions of an image.
func checkContent(r io.Reader, kind *mediaKind) (string, error) {
	head := make([]byte, mediatype.HeadSize)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	if n == 0 {
		return "", errors.New("is empty")
	}
	contentType := mediatype.Sniff(head)
	if err := kind.takes(contentType); err != nil {
		return "", err
	}
	return contentType, kind.checkDimensions(contentType, io.MultiReader(bytes.NewReader(head), r))
}

func (k *mediaKind) takes(contentType string) error {
	if !slices.Contains(k.types, contentType) {
		return fmt.Errorf("is %s, not one of the %s", scrub.OneLine(contentType, 40), k.formats)
	}
	return nil
}

// checkDimensions accepts what Go cannot read; the server may be able to.
func (k *mediaKind) checkDimensions(contentType string, r io.Reader) error {
	width, height, err := mediatype.Dimensions(contentType, r)
	if errors.Is(err, mediatype.ErrUnknown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("has an unreadable %s header: %w", contentType, err)
	}
	return k.checkPixels(width, height)
}

func (k *mediaKind) checkPixels(width, height int) error {
	short, long := min(width, height), max(width, height)
	if short < minPixels {
		return fmt.Errorf("has %d×%d pixels, at least %d×%d are needed", width, height, minPixels, minPixels)
	}
	switch {
	case k.wide && long > maxWideRatio*short:
		return fmt.Errorf("has %d×%d pixels; the ratio must be at most %d:1", width, height, maxWideRatio)
	case !k.wide && long >= maxRatio*short:
		return fmt.Errorf("has %d×%d pixels; the ratio must be less than %d:1", width, height, maxRatio)
	}
	return nil
}

// checkLink refuses what no server can fetch.
func checkLink(link string) error {
	if isPlainLink(link) {
		return nil
	}
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("must be an absolute http or https URL")
	}
	return nil
}

// isPlainLink reports whether link is a host and a path of characters that stand for themselves. Most links are; to
// parse one is 4 % of what a small create costs the client.
func isPlainLink(link string) bool {
	rest, ok := strings.CutPrefix(link, "https://")
	if !ok || rest == "" || rest[0] == '/' {
		return false
	}
	for _, c := range []byte(rest) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '-' || c > '9') && c != '_' { // - . / and digits
			return false
		}
	}
	return true
}

// tidyDataURI returns a data URI as the API takes it: with the content type in lower case, no other parameter, and no
// blanks. What is not a data URI of base64 stays as it is.
func tidyDataURI(uri string) string {
	comma := strings.LastIndexByte(uri, ',') // a parameter in quotes may have one, base64 has none
	if comma < 0 || !hasScheme(uri, dataScheme) {
		return uri
	}
	parameters := strings.Split(strings.ToLower(strings.TrimSpace(uri[:comma])), ";")
	for i := range parameters {
		parameters[i] = strings.TrimSpace(parameters[i])
	}
	if !slices.Contains(parameters[1:], "base64") {
		return uri
	}
	contentType := strings.TrimSpace(strings.TrimPrefix(parameters[0], dataScheme))
	head, data := dataScheme+contentType+";base64,", strings.Join(strings.Fields(uri[comma+1:]), "")
	if head == uri[:comma+1] && len(data) == len(uri)-len(head) {
		return uri
	}
	return head + data
}

func checkDataURI(uri string, kind *mediaKind) error {
	head, data, found := strings.Cut(uri, ";base64,")
	contentType, isData := strings.CutPrefix(head, dataScheme)
	if !found || !isData || contentType == "" {
		return errors.New("must have the form data:image/png;base64,…")
	}
	if err := kind.takes(contentType); err != nil {
		return err
	}
	digits := strings.TrimRight(data, "=")
	if len(data)%4 != 0 || len(data)-len(digits) > 2 || !isBase64(digits) {
		return errors.New("is not base64")
	}
	if size := int64(base64.RawStdEncoding.DecodedLen(len(digits))); size > kind.maxBytes {
		return fmt.Errorf("has %d bytes, at most %d are allowed", size, kind.maxBytes)
	}
	_, err := checkContent(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)), kind)
	return err
}

func isBase64(digits string) bool {
	for i := range len(digits) {
		switch c := digits[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

// mediumOf returns the media that a reference on the wire stands for.
func mediumOf(ref string) Media {
	switch {
	case hasScheme(ref, dataScheme):
		return DataURI(ref)
	case strings.HasPrefix(ref, uploadScheme):
		return UploadRef(ref)
	}
	return URL(ref)
}
