module sandbar

go 1.26
