package api

// Routes are the patterns of all routes.
func (h *Handler) Routes() []string { return h.routes }
