"""Units, as they are installed. They come with the wheel, so that an installation by hand has them too."""
