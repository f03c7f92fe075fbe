package vidu //nolint:testpackage // seams for the tests of downloads; they themselves are outside

import "os"

// WithLink replaces os.Link.
func WithLink(link func(from, to string) error) DownloadOption {
	return func(d *downloadConfig) { d.hardLink = link }
}

// WithSync replaces the Sync of files and directories.
func WithSync(sync func(*os.File) error) DownloadOption {
	return func(d *downloadConfig) { d.sync = sync }
}
