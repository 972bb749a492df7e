-- For compose.yaml: what the image of PostgreSQL runs once, on a new server.
CREATE DATABASE axum;
CREATE DATABASE actix;
