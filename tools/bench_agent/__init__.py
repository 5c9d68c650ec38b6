"""The release agent's transfers against other people's copiers, as whole processes."""
