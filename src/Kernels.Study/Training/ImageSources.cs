namespace Kernels.Study;

/// <summary>What makes images for training from the training images alone.</summary>
internal enum ImageSource
{
    /// <summary>A GAN.</summary>
    Gan,

    /// <summary>
    /// A GAN, those images only that a network which saw the same training images takes for what was asked for.
    /// </summary>
    FilteredGan,

    /// <summary>An autoencoder, in whose latent space two images of a class are mixed.</summary>
    Autoencoder,
}

/// <summary>Images in training that were made of the training images.</summary>
/// <param name="Share">Of all images that training sees.</param>
/// <param name="Source">What made them.</param>
internal sealed record GeneratedImages(double Share, ImageSource Source = ImageSource.Gan)
{
    public bool IsOfGan => Source is ImageSource.Gan or ImageSource.FilteredGan;
}

/// <summary>Made images could not be had, for a reason that is said; a run that needs them has no result.</summary>
internal sealed class NoImagesException(string message) : Exception(message);

/// <summary>The networks of a study that make images, one of a kind for each seed.</summary>
internal sealed class ImageSources(Device device, StudyData data, StudySettings settings, Func<int, string>? ganFileOf = null)
{
    public Gans Gans { get; } = new(device, data, settings, ganFileOf);

    public Autoencoders Autoencoders { get; } = new(device, data, settings);

    /// <summary>Made when a run first asks for them; runs side by side that ask for the same ones wait.</summary>
    /// <exception cref="NoImagesException">There are none.</exception>
    public Examples Of(GeneratedImages generated, int seed, IStudyProgress progress, CancellationToken stop)
    {
        if (!generated.IsOfGan) return Autoencoders.Of(seed, stop).Images;
        GanResult gan = Gans.Of(seed, progress, stop);
        Examples? images = generated.Source == ImageSource.FilteredGan ? gan.Filtered : gan.Images;
        return images is { Count: > 0 }
            ? images
            : throw new NoImagesException($"the GAN gave no images: {gan.Failure ?? "none is as asked"}");
    }
}
