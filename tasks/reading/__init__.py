"""Opens data sets in the layouts that people have, as samples; what cannot be used is set aside."""
