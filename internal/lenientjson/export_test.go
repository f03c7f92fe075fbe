package lenientjson

// Left returns how many bytes of the text are behind the item.
func (it *Items) Left() int { return len(it.text) - it.at }
