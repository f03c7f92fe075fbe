// Package wholefile finds out whether a file that passes by in pieces of any size is whole: by the boxes of an MP4, by
// the end of a JPEG, PNG or WebP, and by the checksums that storages promise in headers. Of a file of any length it
// keeps a few bytes. A file of another format counts as whole: only what is provably cut is refused.
package wholefile

// MinSize is the least number of bytes that a video or an image has, and how many identify its format.
const MinSize = 12
