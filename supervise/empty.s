// This file is empty: it lets fork.go declare functions without a body.
