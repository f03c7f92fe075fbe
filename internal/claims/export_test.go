package claims

// NewLimited returns a Memory that holds at most limit committed keys.
var NewLimited = newLimited
