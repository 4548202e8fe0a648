"""Arrays in, arrays out: audio, images, spectrograms, and video files. Nothing here touches a network or a device."""
