// This file is empty: it lets began.go declare a function without a body.
