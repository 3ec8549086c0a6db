// Compiles pch.h once; every other library reuses it.
