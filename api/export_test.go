package api

import "net/http"

// Routes are the patterns of all routes.
func (h *Handler) Routes() []string { return h.routes }

// Handle registers a route that the document does not have.
func (h *Handler) Handle(pattern string, handler http.Handler) { h.handle(pattern, handler) }
