namespace Kernels.Reference;

/// <summary>Images in either layout.</summary>
/// <param name="Images">Number of images.</param>
/// <param name="Channels">Channels of an image.</param>
/// <param name="Height">Rows of a channel.</param>
/// <param name="Width">Columns of a channel.</param>
/// <param name="ChannelsLast">Whether a pixel's channels lie side by side.</param>
public sealed record ImageReference(int Images, int Channels, int Height, int Width, bool ChannelsLast)
{
    /// <summary>Elements of an image.</summary>
    public int Elements => Channels * Height * Width;

    /// <summary>Calls the body with index in memory, image, channel, row and column of each element.</summary>
    public void ForEach(Action<int, int, int, int, int> body)
    {
        for (int image = 0; image < Images; image++)
        {
            for (int channel = 0; channel < Channels; channel++)
            {
                for (int row = 0; row < Height; row++)
                {
                    for (int column = 0; column < Width; column++)
                    {
                        body(Index(image, channel, row, column), image, channel, row, column);
                    }
                }
            }
        }
    }

    /// <summary>The place of an element in memory.</summary>
    public int Index(int image, int channel, int row, int column) => ChannelsLast
        ? (image * Elements) + (((row * Width) + column) * Channels) + channel
        : (image * Elements) + (((channel * Height) + row) * Width) + column;

    /// <summary>Whether a pixel is in box number <paramref name="box"/>: top, left, bottom, right.</summary>
    public static bool IsInBox(int[] boxes, int box, int row, int column) =>
        row >= boxes[4 * box] && column >= boxes[(4 * box) + 1] && row < boxes[(4 * box) + 2] && column < boxes[(4 * box) + 3];
}
