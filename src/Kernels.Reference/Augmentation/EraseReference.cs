namespace Kernels.Reference;

/// <summary>Boxes that are erased from images, and what stands there then.</summary>
public static class EraseReference
{
    private const double TwoTo32 = 4294967296.0;

    /// <summary>Cutout's squares for each sample, clipped; all 0 for a sample that is left alone.</summary>
    public static int[] CutoutBoxes(
        ulong[] ids, int holes, int side, double skipProbability, int height, int width, ulong seed, ulong offset, uint op)
    {
        int[] boxes = new int[4 * holes * ids.Length];
        for (int sample = 0; sample < ids.Length; sample++)
        {
            if (!IsChosen(ids[sample], skipProbability, seed, offset, op)) continue;
            for (int hole = 0; hole < holes; hole++)
            {
                uint[] words = AugmentKeyReference.Draw(seed, offset, ids[sample], op, (uint)hole);
                int top = (int)(words[0] / TwoTo32 * height) - (side / 2), left = (int)(words[1] / TwoTo32 * width) - (side / 2);
                int[] box =
                    [Math.Max(0, top), Math.Max(0, left), Math.Min(height, top + side), Math.Min(width, left + side)];
                box.CopyTo(boxes, 4 * ((sample * holes) + hole));
            }
        }

        return boxes;
    }

    /// <summary>y = x outside of the boxes, a value inside.</summary>
    public static void Fill(double[] x, int[] boxes, int holes, double[] y, ImageReference images, double value)
    {
        images.ForEach((index, image, _, row, column) =>
            y[index] = IsErased(boxes, image, holes, row, column) ? value : x[index]);
    }

    /// <summary>Whether one of an image's boxes has a pixel.</summary>
    public static bool IsErased(int[] boxes, int image, int holes, int row, int column) =>
        Enumerable.Range(image * holes, holes).Any(box => ImageReference.IsInBox(boxes, box, row, column));

    /// <summary>Whether a sample is changed at all.</summary>
    public static bool IsChosen(ulong id, double skipProbability, ulong seed, ulong offset, uint op)
    {
        int threshold = DropoutReference.Threshold(skipProbability);
        return threshold == 65536 || (AugmentKeyReference.Draw(seed, offset, id, op, 0x8000)[0] & 0xffff) < threshold;
    }
}
